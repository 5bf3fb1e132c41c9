"""What is promised and not kept yet: each test fails until its bug is mended."""

from typing import Any

import pytest

from fibonacci import LLMNode, NodeExecutionError, Workflow


@pytest.mark.parametrize("value", [[float("nan")], {"score": float("inf")}])
def test_numbers_that_are_no_json(workflow: Workflow, value: Any) -> None:
    """NaN and Infinity are not written as null into a prompt: JSON has no form for them (C27)."""
    workflow.add_node(LLMNode("n", "echo", "{{input.x}}"))
    with pytest.raises(NodeExecutionError, match=r"JSON has no form for what 'input.x' is"):
        workflow.execute({"x": value})
