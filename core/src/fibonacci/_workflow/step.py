"""A node made ready to run: its texts compiled, and what they ask for known."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs

from fibonacci._workflow.answers import read_json
from fibonacci._workflow.context import NodeContext, Results
from fibonacci._workflow.following import follow
from fibonacci._workflow.literal import LiteralTemplate, LiteralText
from fibonacci._workflow.nodes import FunctionNode, LLMNode, Node
from fibonacci._workflow.run import Run
from fibonacci._workflow.schema import Check, make_check
from fibonacci._workflow.texts import Texts
from fibonacci._workflow.voice import is_async
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, ModelRequest, Usage
from fibonacci.plugin.templating import Engine, Template


class Answer(NamedTuple):
    """What one attempt of a node gave."""

    output: Any
    usage: Usage


_NONE: Final = Usage()


@attrs.frozen(kw_only=True, eq=False)
class Step(ABC):
    """One node, ready to run."""

    node: Node
    keys: tuple[Template, ...]
    """The key of each record in the node's ``memory_write``."""
    read_keys: Mapping[int, Template]
    """The keys of its ``memory_read`` that are templates, by their place in it."""
    texts: Texts
    """All that it has to render."""

    @property
    def prompts(self) -> tuple[Template, ...]:
        """What a model is asked."""
        return ()

    @property
    def needs(self) -> frozenset[str]:
        """Ids of the nodes that have to come first."""
        return frozenset((*self.node.dependencies, *self.texts.nodes))

    @property
    @abstractmethod
    def asynchronous(self) -> bool:
        """Whether it can run in the async voice alone."""

    @abstractmethod
    def question(self, run: Run, recalled: Mapping[str, Any], deadline: float | None) -> Any:
        """Return what each attempt asks. Raises TemplateError."""

    @abstractmethod
    async def ask(self, run: Run, question: Any, deadline: float | None) -> Answer:
        """Make one attempt."""


@attrs.frozen(kw_only=True, eq=False)
class LLMStep(Step):
    """A node that asks a model."""

    node: LLMNode
    late_keys: frozenset[int]
    """Those of ``keys`` that ask for the node's own answer, by their place in it."""
    prompt: Template
    system_prompt: Template | None
    stop: tuple[str, ...]
    check: Check | None
    """Whether an answer fits the node's schema."""

    @property
    def prompts(self) -> tuple[Template, ...]:
        """What its model is asked."""
        return (self.prompt,) if self.system_prompt is None else (self.prompt, self.system_prompt)

    @property
    def asynchronous(self) -> bool:
        """Whether its model is an async function."""
        return is_async(self.node.model)

    def question(
        self, run: Run, recalled: Mapping[str, Any], deadline: float | None
    ) -> ModelRequest:
        """Render the prompts, once for all attempts."""
        node, system, namespace = self.node, self.system_prompt, run.namespace(recalled)
        return ModelRequest(
            prompt=self.prompt.render(namespace),
            system_prompt=None if system is None else system.render(namespace),
            max_tokens=node.max_tokens,
            temperature=node.temperature,
            stop=self.stop,
            output_format=node.output_format,
            output_schema=node.output_schema,
            deadline=deadline,
        )

    async def ask(self, run: Run, question: ModelRequest, deadline: float | None) -> Answer:
        """Ask the model once."""
        model = run.models[self.node.id]
        if run.channel is None:
            whole = await run.voice.complete(model, question)
        else:
            whole = await follow(run.voice, run.channel, self.node.id, model, question)
        if not isinstance(whole, Completion):
            raise WorkflowValidationError(
                f"a model must return a Completion, not {type(whole).__name__}"
            )
        if self.node.output_format == "text":
            return Answer(whole.text, whole.usage)
        return Answer(read_json(whole, self.check), whole.usage)


@attrs.frozen(kw_only=True, eq=False)
class FunctionStep(Step):
    """A node that calls a function."""

    node: FunctionNode

    @property
    def asynchronous(self) -> bool:
        """Whether its function is async."""
        return is_async(self.node.function)

    def question(
        self, run: Run, recalled: Mapping[str, Any], deadline: float | None
    ) -> NodeContext:
        """Gather what the function may see: nothing but what its node asked for."""
        user = run.spaces.get("user")
        results = Results({node_id: run.outputs[node_id] for node_id in self.node.dependencies})
        results.of = self.node.id, run.nodes
        return NodeContext(
            inputs=MappingProxyType(run.inputs),
            results=MappingProxyType(results),
            memory_values=MappingProxyType(recalled),
            user_id=user and user.owner,
            organization_id=run.spaces["organization"].owner,
            make_memory=run.memory,
        )

    async def ask(self, run: Run, question: NodeContext, deadline: float | None) -> Answer:
        """Call the function once."""
        return Answer(await run.voice.call(self.node.function, question, deadline), _NONE)


def make_step(node: Node, engine: Engine) -> Step:
    """Compile a node.

    Raises TemplateError where a text is no template, or asks for memory that the node does not
    read; WorkflowValidationError for what is no node.
    """
    texts = Texts(node, engine)
    if isinstance(node, LLMNode):
        return _llm_step(node, texts)
    if isinstance(node, FunctionNode):
        return FunctionStep(
            node=node, keys=texts.add_keys(), read_keys=texts.add_read_keys(), texts=texts
        )
    raise WorkflowValidationError(
        f"add_node takes an LLMNode or a FunctionNode, not {type(node).__name__}"
    )


def _late(node: Node, keys: Sequence[Template]) -> frozenset[int]:
    own = (any(one.root == node.id for one in key.references) for key in keys)
    return frozenset(place for place, late in enumerate(own) if late)


def _llm_step(node: LLMNode, texts: Texts) -> LLMStep:
    prompt, system = _template(texts, "prompt", node.prompt), node.system_prompt
    system_prompt = _template(texts, "system_prompt", system) if system else None
    keys = texts.add_keys()
    return LLMStep(
        node=node,
        prompt=prompt,
        system_prompt=system_prompt,
        stop=tuple(node.stop),
        check=None if node.output_schema is None else make_check(node.output_schema),
        keys=keys,
        late_keys=_late(node, keys),
        read_keys=texts.add_read_keys(),
        texts=texts,
    )


def _template(texts: Texts, field: str, source: str | LiteralText) -> Template:
    if isinstance(source, LiteralText):
        return LiteralTemplate(source.text)
    return texts.add(field, source)
