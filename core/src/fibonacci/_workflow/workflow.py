"""Workflow: nodes, and a memory that outlives their runs."""

from collections.abc import AsyncGenerator, Generator, Mapping
from threading import Lock
from types import TracebackType
from typing import Any

from fibonacci._discovery import find_plugin
from fibonacci._memory.addresses import checked_name
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.manager import MemoryManager
from fibonacci._workflow import drawing, fields
from fibonacci._workflow.events import Event
from fibonacci._workflow.execution import Prepared, execute, prepare
from fibonacci._workflow.nodes import Node
from fibonacci._workflow.opening import open_memory
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.step import Step, make_step
from fibonacci._workflow.stream import stream
from fibonacci._workflow.voice import SyncVoice
from fibonacci.errors import ConfigurationError, WorkflowValidationError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.models import Model
from fibonacci.plugin.templating import Engine, EngineSettings


class Workflow:
    """Nodes that ask models and call functions, and a memory that outlives their runs.

    Two workflows of the same name, prefix and store share their workflow scope. One object serves
    all threads and event loops.
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
        """Make a workflow and its memory; the store is first connected to when it is used.

        Args:
            name: whose the workflow scope is: up to 1,000 bytes of text.
            memory_config: where the memory is; in this process if None.
            description: what it is for, for its readers.
            version: which version of it this is, for its readers.
            organization_id: whose the organization scope is, if not the configuration's.
            timeout: seconds until an execution gives its nodes up; None: no limit. A memory write
                that has begun by then is ended, within the memory's own timeout.
            max_concurrency: how many nodes may run side by side; None: as many as can.
            templating: the engine of its texts: "builtin", "jinja", or an Engine of your own.

        Raises ConfigurationError, PluginError or EncryptionError.
        """
        self.name = checked_name(name, "the workflow's name", ConfigurationError)
        self.description = fields.optional_text("description", description)
        self.version = fields.optional_text("version", version)
        self.timeout = fields.workflow_timeout(timeout)
        self.max_concurrency = fields.optional_count("max_concurrency", max_concurrency)
        config = _config(memory_config)
        self._engine = _engine(templating)
        self._adding = Lock()
        self._steps: dict[str, Step] = {}
        self._prepared: Prepared | None = None
        self._models: dict[str, Model] = {}
        self.memory: MemoryManager = open_memory(config, self.name, organization_id)

    def add_node(self, node: Node) -> None:
        """Add a node. The order does not matter: who waits for whom is in the nodes.

        Raises TemplateError where a text of it is no template, or asks for memory that it does not
        read; WorkflowValidationError where its id is taken.
        """
        step = make_step(node, self._engine)
        with self._adding:
            if node.id in self._steps:
                raise WorkflowValidationError(
                    f"there is a node {node.id!r} already: give it another id"
                )
            # A new dict: a run that has started keeps the old one.
            self._steps = {**self._steps, node.id: step}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order in which they were added."""
        return tuple(step.node for step in self._steps.values())

    def validate(self) -> None:
        """Check all that ``execute`` checks before it runs anything: the graph, and the models.

        Raises WorkflowValidationError, PluginError or ConfigurationError.
        """
        self._prepare()

    def execute(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> ExecutionResult:
        """Run all nodes, each as soon as those that it waits for have ended.

        Nodes that don't wait for each other run side by side, in threads.

        Args:
            inputs: what templates find as ``{{input.name}}``, and functions as ``ctx.inputs``.
            user_id: whose the user scope is in this run; None: it has none.
            organization_id: whose the organization scope is, if not the workflow's own.

        Raises WorkflowValidationError, InvalidArgumentError, ScopeError or PluginError before
        anything runs; NodeExecutionError where a node failed, with the results of the others; as
        WorkflowTimeoutError where a timeout was over.
        """
        return run_sync(
            execute(self, self._prepare(), SyncVoice(), inputs, user_id, organization_id)
        )

    async def aexecute(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> ExecutionResult:
        """Run all nodes, as ``execute`` does, side by side in tasks; plain functions in threads."""
        from fibonacci._workflow.async_voice import AsyncVoice

        voice = AsyncVoice()
        return await execute(self, self._prepare(), voice, inputs, user_id, organization_id)

    def stream(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> Generator[Event]:
        """Run as ``execute`` does, in threads of its own, and yield what happens when it happens.

        The run waits at each event until it is asked for the next one, and the time that it waits
        counts: a timeout passes meanwhile, too. A node writes its memory once its NodeFinished was
        read. Closing the generator early (``close``, ``break``) stops the run where it is: a
        model's stream is closed, and no node begins to write; a write that has begun is waited for.

        Raises what ``execute`` raises, when the first event is asked for or a later one.
        """
        return stream(
            lambda channel: execute(
                self, self._prepare(), SyncVoice(), inputs, user_id, organization_id, channel
            )
        )

    def astream(
        self,
        inputs: Mapping[str, Any] | None = None,
        user_id: str | None = None,
        organization_id: str | None = None,
    ) -> AsyncGenerator[Event]:
        """Run as ``aexecute`` does, in tasks of its own, and yield what ``stream`` yields.

        Whoever leaves the loop early closes the generator with ``contextlib.aclosing``: without,
        the event loop closes it a little later.
        """
        from fibonacci._workflow.async_stream import astream
        from fibonacci._workflow.async_voice import AsyncVoice

        return astream(
            lambda channel: execute(
                self, self._prepare(), AsyncVoice(), inputs, user_id, organization_id, channel
            )
        )

    def to_mermaid(self) -> str:
        """Return a drawing of the nodes and their memory, as the text of a Mermaid flowchart."""
        return drawing.to_mermaid(self._steps)

    def _prepare(self) -> Prepared:
        steps, prepared = self._steps, self._prepared
        # Another thread may add a node just now: what is prepared says of which nodes.
        if prepared is None or not prepared.serves(steps):
            self._prepared = prepared = prepare(steps, self._models)
        return prepared

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


def _config(memory_config: Any) -> MemoryConfig:
    if memory_config is None:
        return MemoryConfig()
    if not isinstance(memory_config, MemoryConfig):
        raise ConfigurationError(
            f"memory_config must be a MemoryConfig, not {type(memory_config).__name__}"
        )
    return memory_config


def _engine(templating: str | Engine) -> Engine:
    if isinstance(templating, Engine):
        return templating
    if not isinstance(templating, str) or not templating:
        raise ConfigurationError(
            f"templating must be an engine's name, such as 'builtin' or 'jinja', or an Engine; "
            f"it is a {type(templating).__name__}"
        )
    engine: Engine = find_plugin("templating", templating).call_hook(
        EngineSettings(name=templating), Engine
    )
    return engine
