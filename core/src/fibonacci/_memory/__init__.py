"""Memory: its configuration, addresses, serialization, stores, and operations on records."""
