"""A small server, and stores that use it over TCP: a sound one, and broken ones."""
