"""The forms of memory_read and memory_write, as type checkers know them."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from fibonacci._memory.expiry import TTL
from fibonacci.plugin.address import Scope

Mode = Literal["set", "append", "increment"]

# Not as a class: "as" is a word of Python's.
MemoryRead = TypedDict(
    "MemoryRead",
    {"key": Required[str], "scope": Scope | None, "default": Any, "as": str},
    total=False,
)
"""One value that a node reads: its ``key``; the ``scope`` that it is in; the ``default`` where it
is not there; and ``as``, what the node calls it."""


class MemoryWrite(TypedDict, total=False):
    """One record that a node writes with its output."""

    key: Required[str]
    """May hold templates."""
    scope: Scope | None
    """None: the run's user where it has one, else the workflow."""
    ttl: TTL | None
    """Seconds, NO_EXPIRY, or None for the memory's default."""
    mode: Mode
    """Replace the value, add the output to the end of a list, or add it to a number."""
    max_items: int | None
    """How many of the newest elements an appended list keeps; None: all."""


ReadForm = Sequence[str | MemoryRead]
"""What ``memory_read`` takes."""

WriteForm = str | MemoryWrite | Sequence[str | MemoryWrite] | None
"""What ``memory_write`` takes."""
