"""What ./test runs: everything on one interpreter.

check.py [--long] [ARGUMENTS FOR PYTEST...]
"""

import os
import platform
import sys
import time

from steps import BUDGET, report, tox

SINCE = time.monotonic()


def main(arguments: list[str]) -> bool:
    """Run everything, or only the tests that the arguments name; return whether all passed."""
    long = arguments[:1] == ["--long"]
    if arguments[long:]:
        os.execv(sys.executable, tox("some", *arguments).command)
    unbudgeted = {"budget": None} if long else {}
    steps = [
        tox("types", shows=""),
        tox("lint", shows=""),
        tox("contracts", *arguments, **unbudgeted),
        tox("docs"),
    ]
    if long:
        steps.append(tox("fuzz", shows="^stat::number_of_executed_units"))
    # The tests with coverage run beside the other steps: both mostly wait.
    tests = tox("tests", *arguments, **unbudgeted).start(quiet=True)
    try:
        outcomes = [step.run() for step in steps]
        outcomes.append(tests.outcome())
    finally:
        tests.kill()
    green = report(outcomes, budget=None if long else BUDGET["test"], since=SINCE)
    print("not run: other Pythons, uvloop, built wheels, the oldest dependencies (.ci/run)")
    if not long:
        print("not run: the tests marked long, the fuzzer (./test --long)")
    print(f"\nPython {platform.python_version()}")
    print("\n".join(line for outcome in outcomes for line in outcome.closing))
    return green


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
