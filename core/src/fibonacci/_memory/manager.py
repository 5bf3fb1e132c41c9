"""MemoryManager, its views and the memories of runs: all operations, over different scopes."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from fibonacci._memory.addresses import (
    AddressResolver,
    manager_resolver,
    require_scope,
    run_resolver,
    validate_name,
    view_resolver,
)
from fibonacci._memory.context import MemoryContext
from fibonacci._memory.operations.atomic import AtomicOperations
from fibonacci._memory.operations.basic import BasicOperations
from fibonacci._memory.operations.batch import BatchOperations
from fibonacci._memory.operations.expiry import ExpiryOperations
from fibonacci._memory.operations.histories import HistoryOperations
from fibonacci._memory.operations.listing import ListingOperations
from fibonacci._memory.operations.rewrap import RewrapOperations
from fibonacci._memory.reads import ReadResult, ReadSpec, Spaces, default_scope, read_values
from fibonacci.errors import ScopeError
from fibonacci.plugin.address import SCOPES, Scope, Space


class AllOperations(
    BasicOperations,
    HistoryOperations,
    ListingOperations,
    AtomicOperations,
    BatchOperations,
    ExpiryOperations,
    RewrapOperations,
):
    """All operations, each in a sync and an async form."""


class MemoryView(AllOperations):
    """One space of a memory: the same operations, and no other scope or id.

    ``for_user`` and ``for_organization`` return one. Its operations need no ``scope`` and no
    ``user_id``; any other than its own raises ScopeError.
    """

    def __init__(self, space: Space, context: MemoryContext) -> None:
        self._space = space
        super().__init__(AddressResolver(view_resolver(space)), context)

    def __repr__(self) -> str:
        """What it is a view of."""
        return f"<MemoryView of {self._space.scope} {self._space.owner!r}>"


class RunMemory(AllOperations):
    """A workflow's memory, bound to one run: the user scope is that of the run's user.

    A function node has it as ``ctx.memory``.
    Without a scope, an operation is about the run's user if it has one, else about the workflow.
    ``clear``, ``list_keys``, ``iter_keys`` and ``rewrap``, which take all records of a scope, have
    to name it in a run with a user: without, they raise ScopeError.
    """

    def __init__(self, spaces: Spaces, context: MemoryContext) -> None:
        """Created for a run."""
        self._spaces = spaces
        resolve_space = run_resolver(spaces, default_scope(spaces))
        resolve_whole = require_scope(resolve_space) if "user" in spaces else resolve_space
        super().__init__(AddressResolver(resolve_space, resolve_whole), context)

    def _for_runtime(self, *, is_sync: bool) -> Self:
        """Return the memory whose async operations never suspend, for sync code; or itself."""
        return self._sync_view if is_sync else self

    def _check_key(self, scope: Scope, key: str) -> None:
        """Raise InvalidKeyError or ScopeError if no record can have this key."""
        self._resolve_address(key, scope, None)

    def __repr__(self) -> str:
        """Whose run it is bound to."""
        owner = self._spaces["user"].owner if "user" in self._spaces else None
        return f"<RunMemory of user {owner!r}>"


class MemoryManager(AllOperations):
    """A workflow's memory, as ``workflow.memory``; a context manager that closes it.

    Each operation has an async form with the same arguments, result and errors: ``get`` and
    ``await aget``. One object serves all threads and event loops. It holds the connection to the
    store until it is closed or nobody refers to it.
    """

    def __init__(
        self, prefix: str, workflow: str, organization: str, context: MemoryContext
    ) -> None:
        """Created by a Workflow."""
        self._prefix = prefix
        self._workflow = workflow
        super().__init__(AddressResolver(manager_resolver(prefix, workflow, organization)), context)
        self._shared_spaces: dict[Scope, Space] = {
            scope: self._resolve_space(scope, None) for scope in SCOPES if scope != "user"
        }

    def for_user(self, user_id: str) -> MemoryView:
        """Return the memory of one user only.

        Args:
            user_id: the user, in every workflow with this key prefix.

        Raises ScopeError or InvalidKeyError.
        """
        return MemoryView(self._resolve_space("user", user_id), self._context)

    def for_organization(self, organization_id: str) -> MemoryView:
        """Return the memory of one organization only.

        Args:
            organization_id: the organization; it may be another than the workflow's.

        Raises ScopeError.
        """
        return MemoryView(self._organization_space(organization_id), self._context)

    @property
    def plaintext_read_count(self) -> int:
        """How many plain records were read where all should be sealed, by views and runs too.

        Above 0 only with ``plaintext_reads="allow"``: if they are refused, none is ever read.
        """
        return self._context.serializer.plaintext_read_count

    def close(self) -> None:
        """Release the store; its connections close when no other memory shares them.

        After that every operation, of the views too, raises StorageError. It may be called again.
        """
        self._context.handle.release()

    async def aclose(self) -> None:
        """Release the store, and wait until this event loop's connections are closed."""
        await self._context.handle.arelease()

    def _run_spaces(self, user_id: str | None, organization_id: str | None) -> Spaces:
        """Return the spaces of a run for this user, if any, and this organization, if another.

        Raises ScopeError or InvalidKeyError.
        """
        spaces: dict[Scope, Space] = self._shared_spaces.copy()
        if organization_id is not None:
            spaces["organization"] = self._organization_space(organization_id)
        if user_id is not None:
            spaces["user"] = self._resolve_space("user", user_id)
        return spaces

    def _for_run(self, spaces: Spaces) -> RunMemory:
        """Return the memory of a run with these spaces."""
        return RunMemory(spaces, self._context)

    async def _read_values(
        self,
        specs: Sequence[ReadSpec],
        spaces: Spaces,
        *,
        deadline: float,
        is_sync: bool,
    ) -> ReadResult:
        """Read the values of a node in one request."""
        context = self._context
        store = context.handle.sync.store if is_sync else context.handle.store
        return await read_values(specs, spaces, store, context.serializer, deadline=deadline)

    def _organization_space(self, organization_id: str) -> Space:
        owner = validate_name(organization_id, "the organization id", ScopeError)
        return Space(self._prefix, "organization", owner)

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
