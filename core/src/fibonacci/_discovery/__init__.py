"""Finding plugins: metadata first, and only the requested plugin is imported."""

from fibonacci._discovery.registry import (
    PluginInfo,
    Registration,
    find_plugin,
    has_plugin,
    match_prefix,
    plugins,
    register_plugin,
)

__all__ = [
    "PluginInfo",
    "Registration",
    "find_plugin",
    "has_plugin",
    "match_prefix",
    "plugins",
    "register_plugin",
]
