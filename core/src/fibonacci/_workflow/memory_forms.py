"""The forms of memory_read and memory_write, as type checkers know them."""

from collections.abc import Sequence
from typing import Any, Literal, Required, TypedDict

from fibonacci._memory.expiry import TTL
from fibonacci.plugin.address import Scope

Mode = Literal["set", "append", "increment"]

# Not in the class below, as "as" is a word of Python's.
_As = TypedDict("_As", {"as": str}, total=False)


class MemoryRead(_As, total=False):
    """One value that a node reads; ``as`` is what the node calls it, if not by its key."""

    key: Required[str]
    """May hold templates; then it needs ``as``."""
    scope: Scope | None
    """None: the first of user, workflow, organization and global that has it."""
    default: Any
    """What it is where there is no live record."""


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
