"""The workflow behind the app: it reads the user's history, calls a model, and appends the turn."""

import os

from fibonacci import FunctionNode, LLMNode, MemoryConfig, NodeContext, Workflow

MAX_STORED = 4_000
"""Characters of a reply to store: as many as a message may have. A reply that repeats the prompt,
as ``echo`` does, would otherwise double the history with each turn."""


def make_turn(ctx: NodeContext) -> dict[str, str]:
    """Return the turn to store: both messages as one item, which is stored whole."""
    answer = ctx.results["answer"][:MAX_STORED]
    return {"user": ctx.inputs["message"], "assistant": answer}


def chatbot() -> Workflow:
    """Return the workflow; FIBONACCI_MEMORY_BACKEND and its like configure its memory."""
    answer = LLMNode(
        id="answer",
        model=os.environ.get("CHAT_MODEL", "echo"),
        prompt="Our conversation so far: {{memory.history}}\n\n{{input.message}}",
        memory_read=[{"key": "history", "scope": "user", "default": []}],
    )
    remember = FunctionNode(
        id="turn",
        function=make_turn,
        dependencies=["answer"],
        memory_write={"key": "history", "scope": "user", "mode": "append", "max_items": 20},
    )
    workflow = Workflow("chat", MemoryConfig.from_env(), timeout=60)
    workflow.add_node(answer)
    workflow.add_node(remember)
    return workflow
