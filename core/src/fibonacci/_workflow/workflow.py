"""Workflow: a name, and a memory that outlives its runs."""

from types import TracebackType

from fibonacci._memory.addresses import checked_name
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.manager import MemoryManager
from fibonacci._workflow.opening import open_memory
from fibonacci.errors import ConfigurationError


class Workflow:
    """A workflow that remembers.

    Two workflows of the same name, prefix and store share their workflow scope.
    """

    def __init__(
        self,
        name: str,
        memory_config: MemoryConfig | None = None,
        *,
        organization_id: str | None = None,
    ) -> None:
        """Make a workflow and its memory; the store is first connected to when it is used.

        Args:
            name: whose the workflow scope is: up to 1,000 bytes of text.
            memory_config: where the memory is; in this process if None.
            organization_id: whose the organization scope is, if not the configuration's.

        Raises ConfigurationError, PluginError or EncryptionError.
        """
        self.name = checked_name(name, "the workflow's name", ConfigurationError)
        if memory_config is not None and not isinstance(memory_config, MemoryConfig):
            raise ConfigurationError(
                f"memory_config must be a MemoryConfig, not {type(memory_config).__name__}"
            )
        self.memory: MemoryManager = open_memory(
            memory_config or MemoryConfig(), self.name, organization_id
        )

    def close(self) -> None:
        """Close the memory; see :meth:`MemoryManager.close`."""
        self.memory.close()

    async def aclose(self) -> None:
        """Close the memory from within an event loop; see :meth:`MemoryManager.aclose`."""
        await self.memory.aclose()

    def __enter__(self) -> "Workflow":
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

    async def __aenter__(self) -> "Workflow":
        """Return itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.aclose()

    def __repr__(self) -> str:
        """Its name."""
        return f"<Workflow {self.name!r}>"
