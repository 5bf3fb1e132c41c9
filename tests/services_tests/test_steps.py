"""How ./test and .ci/run judge a step by its output: .ci/steps.py."""

import importlib
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"

COVERAGE = "core/src/fibonacci/errors.py   93   1   8   0   99%   41"

HANG = """\
Timeout (0:05:00)!
Thread 0x00007f0000000001 (most recent call first):
  File "/checkout/tests/test_it.py", line 10 in test_that
  File "/checkout/.tox/tests/lib/python3.11/site-packages/_pytest/main.py", line 387 in _main
  File "<string>", line 1 in <module>
[gw1] node down: Not properly terminated"""


@pytest.fixture
def steps(monkeypatch):
    """Return the module that runs the steps."""
    monkeypatch.syspath_prepend(CI)
    return importlib.import_module("steps")


@pytest.fixture
def calibration(monkeypatch):
    """Return the module that measures the speed of the machine."""
    monkeypatch.syspath_prepend(CI)
    return importlib.import_module("calibration")


def outcome(steps, program, **fields):
    """Run a program as a step; return its outcome."""
    command = [sys.executable, "-c", program]
    return steps.Step(name="inner", command=command, **fields).start(quiet=True).outcome()


def test_coloured_output_is_recognized(steps):
    """A step passes if its output has the expected text, in whatever colours."""
    program = r"print('\x1b[39;49;00mbuild \x1b[32msucceeded\x1b[39;49;00m')"
    assert outcome(steps, program, shows="^build succeeded$").passed


@pytest.mark.parametrize("line", ["FAILED tests/test_it.py::test_that - assert 1 == 2", COVERAGE])
def test_report_tells_why_a_step_failed(steps, capsys, line):
    """The report names the test that failed, or the file that is not covered, at its end."""
    program = f"print({line!r}, 'more', *range(50), sep='\\n'); raise SystemExit(1)"
    assert not steps.report([outcome(steps, program)], budget=None, since=0)
    assert capsys.readouterr().out.endswith(f"\nFAILED inner: {line}\n")


def test_report_tells_where_a_test_hung(steps, capsys):
    """The report shows the frames of a test that hung, without those of what ran it."""
    program = f"print({HANG!r}, *range(50), sep='\\n'); raise SystemExit(1)"
    assert not steps.report([outcome(steps, program)], budget=None, since=0)
    shown = capsys.readouterr().out.splitlines()
    frame = '  File "/checkout/tests/test_it.py", line 10 in test_that'
    assert shown[-2:] == ["FAILED inner: Timeout (0:05:00)!", f"FAILED inner: {frame}"]


def test_report_ends_with_the_last_lines_of_a_failed_step(steps, capsys):
    """If no line tells the reason, the report ends with the last 20 lines of the step."""
    program = "print(*range(50), sep='\\n'); raise SystemExit(1)"
    assert not steps.report([outcome(steps, program)], budget=None, since=0)
    shown = capsys.readouterr().out.splitlines()
    assert shown[-20:] == [f"FAILED inner: {number}" for number in range(30, 50)]


def test_report_of_green_steps_tells_no_reason(steps, capsys):
    """A step that passed has no lines at the end of the report."""
    assert steps.report([outcome(steps, "", shows="")], budget=None, since=0)
    assert "FAILED" not in capsys.readouterr().out


def test_cpu_seconds_over_the_budget_fail_a_step(steps, monkeypatch):
    """A step fails if it takes far more CPU seconds than its budget on a machine of that speed."""
    monkeypatch.setitem(steps.BUDGET, "reference", 1e9)
    done = outcome(steps, "print(sum(range(10**6)))", shows="", budget=1e-6)
    assert done.slowdown == 1
    assert done.verdict == "FAILED: far over its budget"
    assert not steps.report([done], budget=None, since=0)


def test_a_slow_machine_has_larger_budgets(steps, monkeypatch):
    """The budget grows with the time that the reference work takes on this machine."""
    monkeypatch.setitem(steps.BUDGET, "reference", 1e-9)
    done = outcome(steps, "print(sum(range(10**6)))", shows="", budget=1e-6)
    assert done.slowdown > 1_000
    assert done.verdict == "passed"


def test_slowdown_is_that_of_the_mean(calibration):
    """Each sample counts: if half of them are twice as slow, the slowdown is 1.5."""
    assert calibration.slowdown([1.0] * 21 + [2.0] * 21, 1.0) == 1.5
    assert calibration.slowdown([1.0] * 22 + [2.0] * 20, 1.0) == pytest.approx(1.5, rel=0.05)


def test_fast_machine_has_no_smaller_budgets(calibration):
    """A machine that is faster than the reference has the budgets as they are."""
    assert calibration.slowdown([0.5, 0.6], 1.0) == 1.0
