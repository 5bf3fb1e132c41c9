"""Three nodes: summarize a text, decide how to tell it to this reader, write it.

What the reader likes is in their memory, and the run remembers what it wrote for them. Run it with

    python examples/newsroom.py                          # with "echo", which needs no key
    python examples/newsroom.py llamacpp:smollm2         # with a local model
"""

import sys

from fibonacci import FunctionNode, LLMNode, MemoryConfig, NodeContext, Workflow


def decide(ctx: NodeContext) -> dict[str, object]:
    """Choose the length and the tone; a reader who has had much gets less."""
    stories = ctx.memory_values.get("stories", [])
    tone = ctx.memory_values["preferences"]["tone"]
    return {"tone": tone, "sentences": 3 if len(stories) < 2 else 1}


def newsroom(model: str, memory_config: MemoryConfig | None = None) -> Workflow:
    """Return the workflow."""
    workflow = Workflow("newsroom", memory_config)
    workflow.add_node(LLMNode("summarize", model, "Summarize: {{input.text}}", max_tokens=80))
    workflow.add_node(
        FunctionNode(
            "decide",
            decide,
            dependencies=["summarize"],
            memory_read=[
                {"key": "preferences", "default": {"tone": "friendly"}},
                {"key": "stories", "scope": "user"},
            ],
        )
    )
    workflow.add_node(
        LLMNode(
            "write",
            model,
            "Tell this in {{decide.sentences}} sentences, in a {{decide.tone}} tone: {{summarize}}",
            max_tokens=80,
            memory_write={"key": "stories", "scope": "user", "mode": "append", "max_items": 10},
        )
    )
    return workflow


def main(model: str = "echo") -> None:
    """Tell one reader three stories."""
    with newsroom(model) as workflow:
        print(workflow.to_mermaid())
        ada = workflow.memory.for_user("ada")
        ada.set("preferences", {"tone": "dry"})
        for text in ("It rained all day.", "The river rose.", "The bridge is closed."):
            result = workflow.execute({"text": text}, user_id="ada")
            print(f"\n{result['write']}")
        print(f"\nremembered for ada: {ada.list_keys()}, {len(ada.get('stories'))} stories")


if __name__ == "__main__":
    main(*sys.argv[1:])
