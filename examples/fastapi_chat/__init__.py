"""A chat over HTTP that remembers its users: see README.md."""
