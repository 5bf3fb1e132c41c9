"""A node as a workflow runs it: its templates and its schema are compiled."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs

from fibonacci._memory.addresses import validate_name
from fibonacci._memory.history.keys import history_key_problem
from fibonacci._workflow.context import NodeContext, Results
from fibonacci._workflow.history_spec import HistorySpec
from fibonacci._workflow.json_output import Check, compile_schema, parse_json_output, rejected_for
from fibonacci._workflow.models import check_completion, model_name
from fibonacci._workflow.nodes import RESERVED, FunctionNode, LiteralText, LLMNode, Node
from fibonacci._workflow.reasoning import after_reasoning
from fibonacci._workflow.result import NO_USAGE
from fibonacci._workflow.run import OuterNode, WorkflowRun
from fibonacci._workflow.runtime import RunCancelled, is_async
from fibonacci._workflow.streaming import stream_completion
from fibonacci._workflow.timeouts import NodeDeadlineExceeded
from fibonacci.errors import TemplateError, WorkflowValidationError
from fibonacci.plugin._runtime.errors import nearest_name
from fibonacci.plugin.models import Completion, ModelRequest, StopReason, Usage
from fibonacci.plugin.templating import Engine, Reference, Template

_EMPTY_NAMESPACE: Final[Mapping[str, Mapping[str, str]]] = {"input": {}, "memory": {}}


class AttemptResult(NamedTuple):
    """What one attempt of a node returned."""

    output: Any
    usage: Usage = NO_USAGE
    answer: str = ""
    """A model's completion without its reasoning: what a history records."""
    model: str | None = None
    """The name of the model that was asked."""
    stop_reason: StopReason | None = None


@attrs.frozen(kw_only=True)
class CompiledHistory:
    """The history of an LLM node, with compiled templates."""

    spec: HistorySpec
    key: Template
    record: Template | None
    """What stands for the prompt in the turn that is added; None: the prompt itself."""


@attrs.frozen(kw_only=True, eq=False)
class CompiledNode(ABC):
    """One node, ready to run."""

    id: str
    """The node's id. Not a property: a run looks it up several times a node."""
    definition: Node
    """As the user wrote it."""
    write_keys: tuple[Template, ...]
    """The key of each record in the node's ``memory_write``."""
    read_keys: Mapping[int, Template]
    """The keys of its ``memory_read`` that are templates, by their index."""
    templates: "NodeTemplates"
    history: CompiledHistory | None = None
    """The conversation that it continues."""

    @property
    def prompts(self) -> tuple[Template, ...]:
        """The templates of what a model is sent."""
        return ()

    @property
    def dependencies(self) -> frozenset[str]:
        """Ids of the nodes that have to end before it starts."""
        return frozenset((*self.definition.dependencies, *self.templates.nodes))

    @property
    @abstractmethod
    def needs_async(self) -> bool:
        """Whether only an async runtime can run it."""

    @abstractmethod
    def build_request(
        self, run: WorkflowRun, memory_values: Mapping[str, Any], deadline: float | None
    ) -> Any:
        """Return what each attempt sends or passes. Raises TemplateError."""

    @abstractmethod
    async def attempt(
        self, run: WorkflowRun, request: Any, deadline: float | None
    ) -> AttemptResult:
        """Make one attempt. Raises NodeDeadlineExceeded, and what the model or function raises."""

    def request_after(self, error: Exception, request: Any) -> Any:
        """Return what the attempt after this error sends instead; None: what the last one did."""
        return None


@attrs.frozen(kw_only=True, eq=False)
class CompiledLLMNode(CompiledNode):
    """A node that sends a request to a model."""

    definition: LLMNode
    late_keys: frozenset[int]
    """The indexes of the ``write_keys`` that reference the node's own output."""
    prompt: Template
    system_prompt: Template | None
    stop: tuple[str, ...]
    check: Check | None
    """Raises if an output does not match the node's schema."""

    @property
    def prompts(self) -> tuple[Template, ...]:
        """The templates of what its model is sent, and of what is recorded instead."""
        record = None if self.history is None else self.history.record
        prompts = self.prompt, self.system_prompt, record
        return tuple(prompt for prompt in prompts if prompt is not None)

    @property
    def needs_async(self) -> bool:
        """Whether its model is an async function, or the one that summarizes its history."""
        history = self.definition.history
        compact = None if history is None else history.compact
        return is_async(self.definition.model) or (compact is not None and is_async(compact.model))

    def build_request(
        self, run: WorkflowRun, memory_values: Mapping[str, Any], deadline: float | None
    ) -> ModelRequest:
        """Render the prompts, once for all attempts."""
        node, system, namespace = self.definition, self.system_prompt, run.namespace(memory_values)
        return ModelRequest(
            prompt=self.prompt.render(namespace),
            system_prompt=None if system is None else system.render(namespace),
            max_tokens=node.max_tokens,
            temperature=node.temperature,
            stop=self.stop,
            output_format=node.output_format,
            output_schema=node.output_schema,
            deadline=deadline,
            user_id=run.user_id,
            run_id=run.id,
            node_id=self.id,
        )

    async def attempt(
        self, run: WorkflowRun, request: ModelRequest, deadline: float | None
    ) -> AttemptResult:
        """Send the request once."""
        model = run.models[self.id]
        if run.channel is None:
            completion = await run.runtime.complete(model, request)
        else:
            completion = await stream_completion(run.runtime, run.channel, self.id, model, request)
        check_completion(completion)
        return AttemptResult(
            self._output(completion),
            completion.usage,
            "" if self.history is None else after_reasoning(completion),
            completion.model or model_name(self.definition.model),
            completion.stop_reason,
        )

    def _output(self, completion: Completion) -> Any:
        if self.definition.output_format == "text":
            return completion.text
        return parse_json_output(completion, self.check)

    def request_after(self, error: Exception, request: ModelRequest) -> ModelRequest | None:
        """Return the request, which says what was wrong with a completion that was rejected."""
        problem = rejected_for(error)
        if problem is None:
            return None
        return attrs.evolve(
            request,
            prompt=f"{request.prompt}\n\nYour last answer was rejected: {problem}. Answer again.",
        )


@attrs.frozen(kw_only=True, eq=False)
class CompiledFunctionNode(CompiledNode):
    """A node that calls a function."""

    definition: FunctionNode

    @property
    def needs_async(self) -> bool:
        """Whether its function is async."""
        return is_async(self.definition.function)

    def build_request(
        self, run: WorkflowRun, memory_values: Mapping[str, Any], deadline: float | None
    ) -> NodeContext:
        """Collect what the function may see: only what its node declares."""
        results = Results(
            {node_id: run.outputs[node_id] for node_id in self.definition.dependencies}
        )
        results.of = self.id, run.node_ids
        return NodeContext(
            inputs=MappingProxyType(run.inputs),
            results=MappingProxyType(results),
            memory_values=MappingProxyType(memory_values),
            user_id=run.user_id,
            organization_id=run.spaces["organization"].owner,
            make_memory=run.memory,
            outer=OuterNode(run, self.id),
        )

    async def attempt(
        self, run: WorkflowRun, request: NodeContext, deadline: float | None
    ) -> AttemptResult:
        """Call the function once."""
        outer = request._outer
        outer.is_over = outer.was_abandoned = False
        try:
            return AttemptResult(
                await run.runtime.call(self.definition.function, request, deadline)
            )
        except Exception as error:
            outer.was_abandoned = isinstance(error, NodeDeadlineExceeded | RunCancelled)
            raise
        except BaseException:
            outer.was_abandoned = True
            raise
        finally:
            outer.is_over = True


def compile_node(node: Node, engine: Engine) -> CompiledNode:
    """Compile a node.

    Raises TemplateError if a text is not a template, or references memory that the node does not
    read; WorkflowValidationError if it is not a node.
    """
    templates = NodeTemplates(node, engine)
    if isinstance(node, LLMNode):
        return _compile_llm_node(node, templates)
    if isinstance(node, FunctionNode):
        return CompiledFunctionNode(
            id=node.id,
            definition=node,
            write_keys=templates.compile_write_keys(),
            read_keys=templates.compile_read_keys(),
            templates=templates,
        )
    raise WorkflowValidationError(
        f"add_node takes an LLMNode or a FunctionNode, not {type(node).__name__}"
    )


def _compile_llm_node(node: LLMNode, templates: "NodeTemplates") -> CompiledLLMNode:
    prompt, system = _compile_prompt(templates, "prompt", node.prompt), node.system_prompt
    system_prompt = _compile_prompt(templates, "system_prompt", system) if system else None
    write_keys = templates.compile_write_keys()
    return CompiledLLMNode(
        id=node.id,
        definition=node,
        prompt=prompt,
        system_prompt=system_prompt,
        history=_compile_history(templates, node.history),
        stop=tuple(node.stop),
        check=None if node.output_schema is None else compile_schema(node.output_schema),
        write_keys=write_keys,
        late_keys=_late_keys(node, write_keys),
        read_keys=templates.compile_read_keys(),
        templates=templates,
    )


def _compile_prompt(templates: "NodeTemplates", field: str, source: str | LiteralText) -> Template:
    if isinstance(source, LiteralText):
        return LiteralTemplate(source.text)
    return templates.compile(field, source)


def _compile_history(
    templates: "NodeTemplates", spec: HistorySpec | None
) -> CompiledHistory | None:
    if spec is None:
        return None
    has_template = isinstance(spec.record, str)
    return CompiledHistory(
        spec=spec,
        key=templates.compile_history_key(spec.key),
        record=templates.compile("history", str(spec.record)) if has_template else None,
    )


def _late_keys(node: Node, keys: Sequence[Template]) -> frozenset[int]:
    return frozenset(
        index
        for index, key in enumerate(keys)
        if any(reference.root == node.id for reference in key.references)
    )


class LiteralTemplate(Template):
    """Has no references, and renders to its text."""

    references: tuple[Reference, ...] = ()

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, namespace: Mapping[str, Any]) -> str:
        return self._text


class TemplateUse(NamedTuple):
    """One reference, and the text that has it."""

    reference: Reference
    text: str
    """Such as "the prompt of node 'chat'"."""


class NodeTemplates:
    """Compiles the texts of one node. Its own output may be referenced in the keys it writes."""

    def __init__(self, node: Node, engine: Engine) -> None:
        """Start with none."""
        self._node = node
        self._engine = engine
        self._uses: list[TemplateUse] = []

    def compile(self, field: str, source: str) -> Template:
        """Compile a text; raises TemplateError, which names it."""
        return self._compile(field, source, self._check_memory)

    def _compile(self, field: str, source: str, check: Callable[[Reference], None]) -> Template:
        text = f"the {field} of node {self._node.id!r}"
        try:
            template = self._engine.compile(source)
            for reference in template.references:
                check(reference)
        except TemplateError as error:
            raise _prefixed(text, error) from None
        self._uses += (TemplateUse(reference, text) for reference in template.references)
        return template

    def compile_write_keys(self) -> tuple[Template, ...]:
        """Compile the keys of memory_write.

        Raises WorkflowValidationError if one of them can never be valid.
        """
        keys = tuple(self.compile("memory_write", write.key) for write in self._node.memory_write)
        for key in keys:
            parts = literals(key)
            if parts is not None and len(parts) == 1:
                what = f"the memory_write of node {self._node.id!r}: the key"
                validate_name(parts[0], what, WorkflowValidationError)
        return keys

    def compile_read_keys(self) -> dict[int, Template]:
        """Compile the keys of memory_read; return those that are templates, by their index."""
        keys: dict[int, Template] = {}
        for index, read in enumerate(self._node.memory_read):
            template = self._compile("memory_read", read.key, self._check_read_key)
            if literals(template) == (read.key,):
                continue
            if read.name == read.key:
                raise WorkflowValidationError(
                    f"the memory_read of node {self._node.id!r}: the key {read.key!r} is a "
                    f"template and needs a name: {{'key': {read.key!r}, 'as': 'name'}}"
                )
            keys[index] = template
        return keys

    def compile_history_key(self, key: str) -> Template:
        """Compile the key of the node's history.

        Raises WorkflowValidationError if it can never be valid.
        """
        template = self._compile("history", key, self._check_read_key)
        parts = literals(template)
        if parts is not None and len(parts) == 1:
            what = f"the history of node {self._node.id!r}: the key"
            validate_name(parts[0], what, WorkflowValidationError)
            if (problem := history_key_problem(parts[0])) is not None:
                raise WorkflowValidationError(f"{what} {problem}")
        return template

    @property
    def nodes(self) -> dict[str, TemplateUse]:
        """The ids that are referenced, and where; without its own id in the keys it writes."""
        own = f"the memory_write of node {self._node.id!r}"
        return {
            use.reference.root: use
            for use in self._uses
            if use.reference.root not in RESERVED
            and (use.reference.root, use.text) != (self._node.id, own)
        }

    @property
    def inputs(self) -> Iterator[tuple[str, TemplateUse]]:
        """The inputs that rendering always needs, and where."""
        for use in self._uses:
            reference = use.reference
            if reference.root == "input" and reference.path and reference.unconditional:
                yield str(reference.path[0]), use

    def _check_read_key(self, reference: Reference) -> None:
        """Refuse what is not known yet when the key is read."""
        unknown = {"memory": "before memory is read", self._node.id: "before the node has run"}
        if reference.root in unknown:
            raise _reference_error(
                reference,
                f"references {reference.name} {unknown[reference.root]}: the key of a read can "
                f"only use inputs and the outputs of other nodes",
            )

    def _check_memory(self, reference: Reference) -> None:
        """Refuse memory that the node does not read."""
        if reference.root != "memory":
            return
        names = {read.name for read in self._node.memory_read}
        if not reference.path:
            raise _reference_error(
                reference, "references all memory: name a key, as in memory.history"
            )
        name = str(reference.path[0])
        if name not in names:
            nearest = nearest_name(name, names)
            hint = f" Did you mean memory.{nearest}?" if nearest else ""
            raise _reference_error(
                reference,
                f"references memory.{name}, which the node does not read: "
                f"add {name!r} to its memory_read.{hint}",
                nearest and f"memory.{nearest}",
            )


def _reference_error(
    reference: Reference, problem: str, nearest: str | None = None
) -> TemplateError:
    line, column = reference.line, reference.column
    return TemplateError(
        f"line {line}, column {column} {problem}",
        line=line,
        column=column,
        name=reference.name,
        nearest=nearest,
    )


def _prefixed(text: str, error: TemplateError) -> TemplateError:
    return TemplateError(
        f"{text}: {error}",
        line=error.line,
        column=error.column,
        name=error.name,
        nearest=error.nearest,
    )


def literals(template: Template) -> tuple[str, ...] | None:
    """Return the literal parts of every text that a template renders; None: not known."""
    if template.literals is None and not template.references:
        return (template.render(_EMPTY_NAMESPACE),)
    return template.literals
