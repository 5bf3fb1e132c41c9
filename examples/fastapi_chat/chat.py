"""The workflow behind the app: it reads the user's history, asks a model, and adds the turn."""

import os

from fibonacci import FunctionNode, LLMNode, MemoryConfig, NodeContext, Workflow

REMEMBERED = 4_000
"""Characters of an answer: as many as a message may have. One that repeats what it was told, as
that of ``echo`` does, would otherwise double the history with each turn."""


def turn(ctx: NodeContext) -> dict[str, str]:
    """Return what is remembered: question and answer as one element, so that none stands alone."""
    answer = ctx.results["answer"][:REMEMBERED]
    return {"user": ctx.inputs["message"], "assistant": answer}


def chatbot() -> Workflow:
    """Return the workflow; FIBONACCI_MEMORY_BACKEND and its like say where its memory is."""
    answer = LLMNode(
        id="answer",
        model=os.environ.get("CHAT_MODEL", "echo"),
        prompt="Our conversation so far: {{memory.history}}\n\n{{input.message}}",
        memory_read=[{"key": "history", "scope": "user", "default": []}],
    )
    remember = FunctionNode(
        id="turn",
        function=turn,
        dependencies=["answer"],
        memory_write={"key": "history", "scope": "user", "mode": "append", "max_items": 20},
    )
    workflow = Workflow("chat", MemoryConfig.from_env(), timeout=60)
    workflow.add_node(answer)
    workflow.add_node(remember)
    return workflow
