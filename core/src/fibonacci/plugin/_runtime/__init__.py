"""What backends and core share; authors import it from :mod:`fibonacci.plugin.runtime`."""
