"""to_mermaid(): a workflow as a Mermaid flowchart."""

import re

from fibonacci import FunctionNode, LLMNode, Workflow


def test_flowchart(workflow: Workflow) -> None:
    """to_mermaid() draws nodes, their dependencies, and the memory that they read and write."""
    workflow.add_node(LLMNode("ask", "echo", "{{memory.history}}", memory_read=["history"]))
    workflow.add_node(
        FunctionNode("end", print, dependencies=["ask"], memory_write={"key": "n", "scope": "user"})
    )
    assert workflow.to_mermaid().splitlines() == [
        "flowchart TD",
        '    n0["ask"]',
        '    n1[["end"]]',
        '    m0[("history")]',
        '    m1[("user: n")]',
        "    n0 --> n1",
        "    m0 -.-> n0",
        "    n1 -.-> m1",
    ]


def test_history_is_drawn(workflow: Workflow) -> None:
    """A history is read by its node, and written by it unless the turn is left to others."""
    workflow.add_node(LLMNode("a", "echo", "x", history="chat"))
    workflow.add_node(LLMNode("b", "echo", "x", history={"key": "chat", "record": False}))
    assert workflow.to_mermaid().splitlines() == [
        "flowchart TD",
        '    n0["a"]',
        '    n1["b"]',
        '    m0[("user: chat")]',
        "    m0 -.-> n0",
        "    m0 -.-> n1",
        "    n0 -.-> m0",
    ]


def test_shared_record_is_drawn_once(workflow: Workflow) -> None:
    """A record that two nodes use is drawn once."""
    for node_id in ("a", "b"):
        workflow.add_node(
            FunctionNode(node_id, print, memory_write={"key": "k", "scope": "workflow"})
        )
    assert workflow.to_mermaid().count('[("workflow: k")]') == 1


HOSTILE = ['"]; click n0 "javascript:x"', "a\nb", "<script>", "{{input.x}}", "#quot;", "é`|]"]


def test_hostile_keys_are_escaped(workflow: Workflow) -> None:
    """Characters that could end a label, or mean something in it, are drawn as entities."""
    workflow.add_node(LLMNode("subgraph", "echo", "x", memory_write=HOSTILE))
    drawing = workflow.to_mermaid().splitlines()
    labels = [line for line in drawing if "[(" in line]
    assert len(drawing) == 2 + 2 * len(HOSTILE)
    assert len(labels) == len(HOSTILE)
    for line, key in zip(labels, HOSTILE, strict=True):
        label = re.fullmatch(r' {4}m\d+\[\("((?:[\w _\-.:]|#\d+;)*)"\)\]', line)
        assert label is not None
        written = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label[1])
        assert written == key


def test_empty_workflow(workflow: Workflow) -> None:
    """A workflow without nodes is an empty flowchart."""
    assert workflow.to_mermaid() == "flowchart TD"


def test_different_records_are_drawn_apart(workflow: Workflow) -> None:
    """The key "user: k" and the key "k" in user scope are drawn as two records."""
    workflow.add_node(
        FunctionNode(
            "n", print, memory_read=["user: k", {"key": "k", "scope": "user", "as": "own"}]
        )
    )
    assert workflow.to_mermaid().count("[(") == 2
