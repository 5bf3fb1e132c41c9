"""The values that a node reads from memory when it starts, all in one request to the store."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from fibonacci._memory import codec
from fibonacci._memory.history.layout import is_head
from fibonacci._memory.serializers import RecordSerializer
from fibonacci.errors import WrongTypeError
from fibonacci.plugin.address import SCOPES, Address, Scope, Space
from fibonacci.plugin.storage import AsyncStore

LOOKUP_ORDER: tuple[Scope, ...] = ("user", *(scope for scope in SCOPES if scope != "user"))
"""Where a key without a scope is looked up: the first live record counts."""

Spaces = Mapping[Scope, Space]
"""The spaces that a run can address; without "user" if the run has none."""


def default_scope(spaces: Spaces) -> Scope:
    """Return where a run writes without a scope: its user's scope if it has a user."""
    return "user" if "user" in spaces else "workflow"


class MemoryKey(NamedTuple):
    """A record of a run's memory, without its value.

    Attributes:
        scope: the scope that the record is in.
        key: its key there.
    """

    scope: Scope
    key: str


@attrs.frozen(kw_only=True)
class ReadSpec:
    """One value that a node reads."""

    name: str
    """The node's name for it."""
    key: str
    scope: Scope | None = None
    """None: the first of user, workflow, organization and global that has it."""
    only_default_scope: bool = False
    """Without a scope: look only where a write without a scope goes."""
    default: bytes | None = attrs.field(default=None, repr=False)
    """As JSON: the value if there is no live record."""
    is_history: bool = False
    """Whether it is the head of a history, of which a node is sent the messages."""

    def candidate_spaces(self, spaces: Spaces) -> list[Space]:
        """Where to look, in order."""
        if self.scope is not None:
            return [spaces[self.scope]]
        if self.only_default_scope:
            return [spaces[default_scope(spaces)]]
        return [spaces[scope] for scope in LOOKUP_ORDER if scope in spaces]


class ReadResult(NamedTuple):
    """What was found: values by name, without missing ones; and the records they come from."""

    values: dict[str, Any]
    read: tuple[MemoryKey, ...]


EMPTY_RESULT: Final = ReadResult({}, ())
"""The result of a node that reads no memory."""


async def read_values(
    specs: Sequence[ReadSpec],
    spaces: Spaces,
    store: AsyncStore,
    serializer: RecordSerializer,
    *,
    deadline: float,
) -> ReadResult:
    """Read all values in one request.

    Raises StorageError or DecryptionError: what can't be read or opened is never reported as
    missing. WrongTypeError for a history: a template would get its records instead of messages.
    """
    addresses = [
        Address(space, spec.key) for spec in specs for space in spec.candidate_spaces(spaces)
    ]
    found = iter(await store.read_many(addresses, deadline=deadline))
    values: dict[str, Any] = {}
    read: list[MemoryKey] = []
    for spec in specs:
        candidates = spec.candidate_spaces(spaces)
        hits = [(space, data) for space in candidates if (data := next(found)) is not None]
        if hits:
            space, data = hits[0]
            address = Address(space, spec.key)
            value = serializer.deserialize(data, address)
            if is_head(value) and not spec.is_history:
                raise _history_error(address)
            values[spec.name] = value
            read.append(MemoryKey(space.scope, spec.key))
        elif spec.default is not None:
            values[spec.name] = codec.decode(spec.default, Address(candidates[0], spec.key))
    return ReadResult(values, tuple(read))


def _history_error(address: Address) -> WrongTypeError:
    hint = history_hint(address.space.scope, address.key)
    return WrongTypeError(f"{address} is a history, which memory_read can't read: use {hint}")


def history_hint(scope: Scope, key: str) -> str:
    """Return how a node reads this history."""
    if scope == "user":
        return f"LLMNode(history={key!r}), or ctx.memory.history({key!r}).messages()"
    return (
        f"LLMNode(history={{'key': {key!r}, 'scope': {scope!r}}}), or "
        f"ctx.memory.history({key!r}, {scope!r}).messages()"
    )
