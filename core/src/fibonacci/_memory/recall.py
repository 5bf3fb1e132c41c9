"""Recalling: the values that a node reads when it starts, all in one request to the store."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from fibonacci._memory import codec
from fibonacci._memory.envelope import Envelope
from fibonacci.plugin.address import SCOPES, Address, Scope, Space
from fibonacci.plugin.storage import AsyncStore

NEAREST_FIRST: tuple[Scope, ...] = ("user", *(scope for scope in SCOPES if scope != "user"))
"""Where a key is looked for that names no scope: the first live record counts."""

Spaces = Mapping[Scope, Space]
"""The spaces that a run reaches; without "user" where the run has none."""


def nearest(spaces: Spaces) -> Scope:
    """Return where a run writes that names no scope: its user's where it has one."""
    return "user" if "user" in spaces else "workflow"


class MemoryKey(NamedTuple):
    """A record of a run's memory, without its value."""

    scope: Scope
    key: str


@attrs.frozen(kw_only=True)
class Wanted:
    """One value that a node reads."""

    name: str
    """What the node calls it."""
    key: str
    scope: Scope | None = None
    """None: the first of user, workflow, organization and global that has it."""
    nearest: bool = False
    """Without a scope: look where a write without one goes, and nowhere else."""
    default: bytes | None = attrs.field(default=None, repr=False)
    """As JSON: what it is where there is no live record."""

    def places(self, spaces: Spaces) -> list[Space]:
        """Where to look, in order."""
        if self.scope is not None:
            return [spaces[self.scope]]
        if self.nearest:
            return [spaces[nearest(spaces)]]
        return [spaces[scope] for scope in NEAREST_FIRST if scope in spaces]


class Recalled(NamedTuple):
    """What was found: values by name, without those that have none; and the records they are."""

    values: dict[str, Any]
    read: tuple[MemoryKey, ...]


NOTHING: Final = Recalled({}, ())
"""What a node recalls that reads no memory."""


async def recall(
    wanted: Sequence[Wanted],
    spaces: Spaces,
    store: AsyncStore,
    envelope: Envelope,
    *,
    deadline: float,
) -> Recalled:
    """Read all that is wanted in one request.

    Raises StorageError or DecryptionError: what can't be read or opened is never told as missing.
    """
    addresses = [Address(space, one.key) for one in wanted for space in one.places(spaces)]
    found = iter(await store.read_many(addresses, deadline=deadline))
    values: dict[str, Any] = {}
    read: list[MemoryKey] = []
    for one in wanted:
        hits = [(space, data) for space in one.places(spaces) if (data := next(found)) is not None]
        if hits:
            space, data = hits[0]
            values[one.name] = envelope.unpack(data, Address(space, one.key))
            read.append(MemoryKey(space.scope, one.key))
        elif one.default is not None:
            address = Address(one.places(spaces)[0], one.key)
            values[one.name] = codec.decode(one.default, address)
    return Recalled(values, tuple(read))
