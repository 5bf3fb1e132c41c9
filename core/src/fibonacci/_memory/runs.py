"""A workflow's memory as one run of it sees it: the run's own user, the run's own organization."""

from collections.abc import Sequence
from typing import cast

from fibonacci._memory.addresses import Addresses, checked_name, named_only, reachable
from fibonacci._memory.manager import AllVerbs, MemoryManager
from fibonacci._memory.operations.verbs import Means
from fibonacci._memory.recall import Recalled, Spaces, Wanted, nearest, recall
from fibonacci.errors import ScopeError
from fibonacci.plugin.address import Scope, Space


class RunMemory(AllVerbs):
    """A workflow's memory, bound to one run: the user scope is that of the run's own user.

    A verb without a scope is about the run's user where it has one, else about the workflow.
    ``clear``, ``list_keys``, ``iter_keys`` and ``rewrap``, which take all records of a scope, have
    to name it in a run with a user: without, they raise ScopeError.
    """

    def __init__(self, spaces: Spaces, means: Means) -> None:
        """Made for a run."""
        self._spaces = spaces
        places = reachable(spaces, nearest(spaces))
        whole = named_only(places) if "user" in spaces else places
        super().__init__(Addresses(places, whole), means)

    def __repr__(self) -> str:
        """Whose run it is bound to."""
        owner = self._spaces["user"].owner if "user" in self._spaces else None
        return f"<RunMemory of user {owner!r}>"


def reach(memory: MemoryManager, user_id: str | None, organization_id: str | None) -> Spaces:
    """Return the spaces of a run for this user, if any, and this organization, if another.

    Raises ScopeError or InvalidKeyError.
    """
    spaces: dict[Scope, Space] = memory._shared.copy()
    if organization_id is not None:
        owner = checked_name(organization_id, "the organization id", ScopeError)
        spaces["organization"] = Space(memory._prefix, "organization", owner)
    if user_id is not None:
        spaces["user"] = memory._place("user", user_id)
    return spaces


def bound(memory: MemoryManager, spaces: Spaces) -> RunMemory:
    """Return the memory of a run that reaches these spaces."""
    return RunMemory(spaces, memory._means)


def spoken(memory: RunMemory, *, plainly: bool) -> RunMemory:
    """Return the memory whose async verbs answer at once, for the sync voice; or itself."""
    return cast(RunMemory, memory._spoken) if plainly else memory


def check_key(memory: RunMemory, scope: Scope, key: str) -> None:
    """Raise InvalidKeyError or ScopeError where no record can have this key."""
    memory._find(key, scope, None)


async def recalled(
    memory: MemoryManager,
    wanted: Sequence[Wanted],
    spaces: Spaces,
    *,
    deadline: float | None,
    plainly: bool,
) -> Recalled:
    """Read what a node wants, within the timeout of one request and before the deadline."""
    means = memory._means
    store = means.handle.sync.store if plainly else means.handle.store
    due = memory._deadline() if deadline is None else min(deadline, memory._deadline())
    return await recall(wanted, spaces, store, means.envelope, deadline=due)
