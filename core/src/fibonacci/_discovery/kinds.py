"""The kinds of plugins and what errors call them, and the variable that blocks plugins."""

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of plugin."""

    name: str
    hook: str
    noun: str
    short_noun: str
    extras: Mapping[str, str]
    """Plugins that we publish, and the extra of fibonacci-core that installs each."""


KINDS: Final = {
    "storage": Kind(
        name="storage",
        hook="fibonacci_storage",
        noun="storage backend",
        short_noun="backend",
        extras={name: name for name in ("redis", "postgres", "dynamodb", "sqlite")},
    ),
    "encryption": Kind(
        name="encryption",
        hook="fibonacci_encryption",
        noun="encryption",
        short_noun="encryption",
        extras={"aes-256-gcm": "crypto"},
    ),
    "templating": Kind(
        name="templating",
        hook="fibonacci_templating",
        noun="template engine",
        short_noun="template engine",
        extras={"jinja": "jinja"},
    ),
    "models": Kind(
        name="models",
        hook="fibonacci_model",
        noun="model provider",
        short_noun="model provider",
        extras={"anthropic": "anthropic", "claude-": "anthropic", "llamacpp": "llamacpp"},
    ),
}

BLOCK_VARIABLE: Final = "FIBONACCI_BLOCK_PLUGINS"
"""The environment variable that names the plugins, or their distributions, to block."""
