"""How ./test and .ci/run judge a step by its output: .ci/steps.py."""

import importlib
import sys
from pathlib import Path

CI = Path(__file__).parents[2] / ".ci"


def test_coloured_output_is_recognized(monkeypatch):
    """A step passes if its output has the expected text, in whatever colours."""
    monkeypatch.syspath_prepend(CI)
    program = r"print('\x1b[39;49;00mbuild \x1b[32msucceeded\x1b[39;49;00m')"
    command = [sys.executable, "-c", program]
    step = importlib.import_module("steps").Step(
        name="coloured", command=command, shows="^build succeeded$"
    )
    assert step.start(quiet=True).outcome().passed
