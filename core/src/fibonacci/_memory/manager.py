"""MemoryManager, and its views: the verbs, and the scopes that they reach."""

from types import TracebackType

from fibonacci._memory.addresses import Addresses, all_scopes, checked_name, one_space
from fibonacci._memory.operations.atomic import Atomic
from fibonacci._memory.operations.basic import Basic
from fibonacci._memory.operations.batch import Batch
from fibonacci._memory.operations.life import Life
from fibonacci._memory.operations.listing import Listing
from fibonacci._memory.operations.rewrap import Rewrapping
from fibonacci._memory.operations.verbs import Means
from fibonacci.errors import ScopeError
from fibonacci.plugin.address import SCOPES, Scope, Space


class AllVerbs(Basic, Listing, Atomic, Batch, Life, Rewrapping):
    """Every verb, each in the async voice and in the sync one."""


class MemoryView(AllVerbs):
    """One space of a memory: the same verbs, and no other scope or id."""

    def __init__(self, space: Space, means: Means) -> None:
        self._space = space
        super().__init__(Addresses(one_space(space)), means)

    def __repr__(self) -> str:
        """What it is a view of."""
        return f"<MemoryView of {self._space.scope} {self._space.owner!r}>"


class MemoryManager(AllVerbs):
    """What a workflow remembers, as ``workflow.memory``.

    Each verb has an async twin: ``get`` and ``await aget``. One object serves all threads and
    event loops. It holds the connection to the store, until it is closed or nobody refers to it.
    """

    def __init__(self, prefix: str, workflow: str, organization: str, means: Means) -> None:
        """Made by a Workflow."""
        self._prefix = prefix
        self._workflow = workflow
        super().__init__(Addresses(all_scopes(prefix, workflow, organization)), means)
        self._shared: dict[Scope, Space] = {
            scope: self._place(scope, None) for scope in SCOPES if scope != "user"
        }

    def for_user(self, user_id: str) -> MemoryView:
        """Return the memory of one user alone. Raises ScopeError or InvalidKeyError."""
        return MemoryView(self._place("user", user_id), self._means)

    def for_organization(self, organization_id: str) -> MemoryView:
        """Return the memory of one organization alone. Raises ScopeError."""
        owner = checked_name(organization_id, "the organization id", ScopeError)
        return MemoryView(Space(self._prefix, "organization", owner), self._means)

    @property
    def plaintext_read_count(self) -> int:
        """How many plain records were read where all should be sealed, by views and runs too.

        With ``plaintext_reads="allow"`` only: where they are refused, none is ever read.
        """
        return self._means.envelope.plaintext_read_count

    def close(self) -> None:
        """Let go of the store; its connections close when no other memory shares them.

        From then on every verb, of the views too, raises StorageError. Closing twice is fine.
        """
        self._means.handle.release()

    async def aclose(self) -> None:
        """Let go of the store, and wait until this event loop's connections are closed."""
        await self._means.handle.arelease()

    def __enter__(self) -> "MemoryManager":
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Whose memory it is."""
        return f"<MemoryManager of workflow {self._workflow!r}>"
