"""Prompt caching: which blocks of a request end a part that the service keeps.

The service keeps what precedes a block with ``cache_control``, the block included, and finds it
again in a later request that begins in the same way.
"""

from typing import Any, Final, Literal

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import Message

Cache = Literal["5m", "1h"]
"""How long the service keeps a part of a request after its last use."""

# "5m" is the API's default, and older gateways know no "ttl".
CACHE_CONTROLS: Final[dict[Cache, dict[str, str]]] = {
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
}

UNCACHEABLE_TYPES: Final = ("thinking", "redacted_thinking")
"""Types of blocks that have no ``cache_control`` in the API."""


def check_cache(cache: object) -> None:
    """Raise ConfigurationError if it is neither a Cache nor None."""
    if cache is not None and cache not in list(CACHE_CONTROLS):  # a list: it may be unhashable
        raise ConfigurationError(
            'anthropic: cache must be "5m" or "1h", how long the service keeps the beginning of a '
            "request, or None"
        )


def cached_text(text: str, cache: Cache) -> list[dict[str, Any]]:
    """Return a text as a list of one block, which is cached."""
    return [{"type": "text", "text": text, "cache_control": CACHE_CONTROLS[cache]}]


def cached_history(history: list[Message], cache: Cache) -> list[Message]:
    """Return a history that is cached up to the last block that can be."""
    for number in reversed(range(len(history))):
        message = history[number]
        content = _cached_content(message["content"], cache)
        if content is not None:
            return [*history[:number], {**message, "content": content}, *history[number + 1 :]]
    return history


def _cached_content(content: Any, cache: Cache) -> list[Any] | None:
    """Return the content as a new list with a cached block; None if it has no block for that."""
    if isinstance(content, str):
        return cached_text(content, cache)
    blocks = list(content)
    for number in reversed(range(len(blocks))):
        if blocks[number].get("type") not in UNCACHEABLE_TYPES:
            # The caller's own value takes precedence.
            own = blocks[number].get("cache_control")
            blocks[number] = {**blocks[number], "cache_control": own or CACHE_CONTROLS[cache]}
            return blocks
    return None
