"""Workflow: nodes that run in the order of their dependencies, and a memory that they share."""

from collections.abc import AsyncGenerator, Generator, Mapping
from threading import Lock
from types import TracebackType
from typing import Any

from fibonacci._discovery import find_plugin
from fibonacci._memory.addresses import validate_name
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.numbers import is_count
from fibonacci._memory_factory import create_memory
from fibonacci._workflow import mermaid, streaming
from fibonacci._workflow.compiled_node import CompiledNode, compile_node
from fibonacci._workflow.events import Event
from fibonacci._workflow.nodes import Node
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import OuterNode
from fibonacci._workflow.runner import ExecutionPlan, execute, prepare
from fibonacci._workflow.sync_runtime import SyncRuntime
from fibonacci._workflow.timeouts import TIMEOUT_RULE, is_timeout
from fibonacci.errors import ConfigurationError, WorkflowValidationError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.models import Model
from fibonacci.plugin.templating import Engine, EngineSettings


class Workflow:
    """Nodes that call models and functions, and a memory that outlives their runs.

    Two workflows of the same name, prefix and store share their workflow scope. A workflow may be
    used by any number of threads and event loops at once. It is a context manager, sync and async,
    that closes its memory. The first use of the memory connects to its store.

    Args:
        name: the owner of the workflow scope: up to 1,000 bytes of text.
        memory_config: where the memory is stored; None: in this process.
        description: what it is for, for people who read it.
        version: its version, for people who read it.
        organization_id: the owner of the organization scope; None: the configuration's.
        timeout: seconds that an execution may take; None: no limit. A memory write that has begun
            by then ends first, within the memory's own timeout.
        max_concurrency: how many nodes may run at the same time; None: no limit.
        templating: the engine of its templates: "builtin", "jinja", or your own Engine.

    Attributes:
        memory: the workflow's memory: a MemoryManager.

    Raises ConfigurationError, PluginError or EncryptionError.
    """

    def __init__(
        self,
        name: str,
        memory_config: MemoryConfig | None = None,
        *,
        description: str | None = None,
        version: str | None = None,
        organization_id: str | None = None,
        timeout: float | None = None,
        max_concurrency: int | None = None,
        templating: str | Engine = "builtin",
    ) -> None:
        self.name = validate_name(name, "the workflow's name", ConfigurationError)
        self.description = _validate_optional_text("description", description)
        self.version = _validate_optional_text("version", version)
        self.timeout = _validate_timeout(timeout)
        self.max_concurrency = _validate_optional_count("max_concurrency", max_concurrency)
        config = _validate_config(memory_config)
        self._engine = _find_engine(templating)
        self._add_lock = Lock()
        self._nodes: dict[str, CompiledNode] = {}
        self._plan: ExecutionPlan | None = None
        self._models: dict[str, Model] = {}
        self.memory: MemoryManager = create_memory(config, self.name, organization_id)

    def add_node(self, node: Node) -> None:
        """Add a node. The order does not matter: each node names its dependencies.

        Args:
            node: an LLMNode or a FunctionNode.

        Raises TemplateError if a text of it is not a valid template, or references memory that it
        does not read; WorkflowValidationError if another node has its id.
        """
        compiled = compile_node(node, self._engine)
        with self._add_lock:
            if node.id in self._nodes:
                raise WorkflowValidationError(
                    f"the workflow already has a node {node.id!r}: use another id"
                )
            # A new dict: a run that has started keeps the old one.
            self._nodes = {**self._nodes, node.id: compiled}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order in which they were added."""
        return tuple(compiled.definition for compiled in self._nodes.values())

    def validate(self) -> None:
        """Check what ``execute`` checks before it runs anything: the graph and the models.

        Raises WorkflowValidationError, PluginError or ConfigurationError.
        """
        self._prepare()

    def execute(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> ExecutionResult:
        """Run all nodes, each as soon as its dependencies have ended.

        Nodes that don't depend on each other run concurrently, in threads.

        Args:
            inputs: the values of ``{{input.name}}`` in templates, and of ``ctx.inputs``.
            user_id: the owner of the user scope in this run; None: it has no user scope.
            organization_id: the owner of the organization scope; None: the workflow's.

        Raises WorkflowValidationError, InvalidArgumentError, ScopeError or PluginError before
        anything runs; NodeExecutionError if a node failed, with the results of the others;
        WorkflowTimeoutError, which is one, if a timeout was exceeded.
        """
        return run_sync(
            execute(self, self._prepare(), SyncRuntime(), inputs, user_id, organization_id)
        )

    async def aexecute(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> ExecutionResult:
        """Run all nodes, in tasks; the async form of ``execute``. Sync functions run in threads."""
        from fibonacci._workflow.async_runtime import AsyncRuntime

        runtime = AsyncRuntime()
        return await execute(self, self._prepare(), runtime, inputs, user_id, organization_id)

    def stream(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> Generator[Event]:
        """Run as ``execute`` does, in other threads, and yield each event when it happens.

        The run waits at each event until the next one is requested, and its timeouts include that
        wait. A node writes its memory once its NodeFinished was read. Closing the generator early
        (``close``, ``break``) stops the run where it is: a model's stream is closed, and no node
        begins to write; ``close`` waits for writes that have begun.

        Args:
            inputs: the values of ``{{input.name}}`` in templates, and of ``ctx.inputs``.
            user_id: the owner of the user scope in this run; None: it has no user scope.
            organization_id: the owner of the organization scope; None: the workflow's.

        Raises what ``execute`` raises, at the first event or a later one.
        """
        return streaming.stream(
            lambda channel: execute(
                self, self._prepare(), SyncRuntime(), inputs, user_id, organization_id, channel
            )
        )

    def astream(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> AsyncGenerator[Event]:
        """Run in other tasks, and yield each event when it happens; the async form of ``stream``.

        To leave the loop early, wrap the generator in ``contextlib.aclosing``; without it, the
        event loop closes the generator a little later.
        """
        from fibonacci._workflow.async_runtime import AsyncRuntime

        return streaming.astream(
            lambda channel: execute(
                self, self._prepare(), AsyncRuntime(), inputs, user_id, organization_id, channel
            )
        )

    def _execute_nested(
        self,
        outer: OuterNode,
        inputs: Mapping[str, Any] | None,
        user_id: str | None,
        organization_id: str,
    ) -> ExecutionResult:
        """Run all nodes as a part of a node of another run."""
        return run_sync(
            execute(
                self,
                self._prepare(),
                SyncRuntime(),
                inputs,
                user_id,
                organization_id,
                outer=outer,
            )
        )

    async def _aexecute_nested(
        self,
        outer: OuterNode,
        inputs: Mapping[str, Any] | None,
        user_id: str | None,
        organization_id: str,
    ) -> ExecutionResult:
        """Run all nodes as a part of a node of another run; the async form."""
        from fibonacci._workflow.async_runtime import AsyncRuntime

        return await execute(
            self, self._prepare(), AsyncRuntime(), inputs, user_id, organization_id, outer=outer
        )

    def to_mermaid(self) -> str:
        """Return a Mermaid flowchart of the nodes and their memory, as text."""
        return mermaid.to_mermaid(self._nodes)

    def _prepare(self) -> ExecutionPlan:
        nodes, plan = self._nodes, self._plan
        # Another thread may add a node meanwhile: a plan knows its nodes.
        if plan is None or not plan.is_current(nodes):
            self._plan = plan = prepare(nodes, self._models)
        return plan

    def close(self) -> None:
        """Close the memory, as ``MemoryManager.close`` does."""
        self.memory.close()

    async def aclose(self) -> None:
        """Close the memory from within an event loop, as ``MemoryManager.aclose`` does."""
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


def _validate_config(memory_config: Any) -> MemoryConfig:
    if memory_config is None:
        return MemoryConfig()
    if not isinstance(memory_config, MemoryConfig):
        raise ConfigurationError(
            f"memory_config must be a MemoryConfig, not {type(memory_config).__name__}"
        )
    return memory_config


def _find_engine(templating: str | Engine) -> Engine:
    if isinstance(templating, Engine):
        return templating
    if not isinstance(templating, str) or not templating:
        raise ConfigurationError(
            f"templating must be an engine's name, such as 'builtin' or 'jinja', or an Engine, "
            f"not {type(templating).__name__}"
        )
    engine: Engine = find_plugin("templating", templating).call_hook(
        EngineSettings(name=templating), Engine
    )
    return engine


def _validate_optional_text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text or None, not {type(value).__name__}")
    return value


def _validate_optional_count(name: str, value: Any) -> int | None:
    if value is not None and not is_count(value):
        raise ConfigurationError(f"{name} must be a whole number, 1 or more, or None")
    return value


def _validate_timeout(value: Any) -> float | None:
    if not is_timeout(value):
        raise ConfigurationError(f"timeout must be {TIMEOUT_RULE}")
    seconds: float | None = value
    return seconds
