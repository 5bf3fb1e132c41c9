"""What a stream tells: the same run as execute's, event by event."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

from fibonacci import (
    FunctionNode,
    LLMNode,
    MemoryKey,
    MemoryWritten,
    NodeFinished,
    NodeStarted,
    NodeText,
    Workflow,
    WorkflowFinished,
)
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, Usage


class Words(Model):
    """Answers with the words of the prompt, one after the other."""

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=request.prompt, usage=Usage(output_tokens=7))

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        for word in request.prompt.split(" "):
            yield TextDelta(word)
            yield TextDelta(" ")
        whole = self.complete(request)
        yield Completion(text=f"{whole.text} ", usage=whole.usage)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        for piece in self.stream(request):
            yield piece


def test_the_events_of_a_run(workflow: Workflow, stream: Any) -> None:
    """A node starts, says its pieces, is finished, and writes; the last event has the result."""
    workflow.add_node(
        LLMNode("chat", Words(), "Hello {{input.name}}", memory_write=["said", {"key": "last"}])
    )
    workflow.add_node(
        FunctionNode("length", lambda ctx: len(ctx.results["chat"]), dependencies=["chat"])
    )
    *events, last = stream(workflow, {"name": "Ada"})
    assert events == [
        NodeStarted("chat"),
        NodeText("chat", "Hello"),
        NodeText("chat", " "),
        NodeText("chat", "Ada"),
        NodeText("chat", " "),
        NodeFinished("chat", "Hello Ada "),
        MemoryWritten("chat", (MemoryKey("workflow", "said"), MemoryKey("workflow", "last"))),
        NodeStarted("length"),
        NodeFinished("length", 10),
    ]
    assert isinstance(last, WorkflowFinished)
    assert last.result == {"chat": "Hello Ada ", "length": 10}
    assert last.result.usage == Usage(output_tokens=7)
    assert last.result.trace["chat"].written == events[6].keys
    assert workflow.memory.get("said") == "Hello Ada "
