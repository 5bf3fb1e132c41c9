"""Runs the steps of ./test and .ci/run, measures each, and compares it with `budget.toml`."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread, Timer
from typing import Any
from xml.etree import ElementTree

from calibration import Calibration

CHECKOUT = Path(__file__).parents[1]
BUDGET = tomllib.loads(Path(__file__).with_name("budget.toml").read_text())

CLOSING = re.compile(
    r"^=+ .*\d+ (?:passed|failed|error|deselected).* in [\d.]+s.*=+$", re.MULTILINE
)
"""The last line of a pytest run."""

LEFT_OUT = re.compile(r"^not run: .*$", re.MULTILINE)
"""What a pytest run skipped, by reason: tests/services/availability.py."""

REASON = re.compile(
    r"^(?:(?:FAILED|ERROR) .*"  # a test of pytest's, a step within this one
    r"|\S+\.py(?: +\d+){4} +\d+%.*"  # a file that is not covered
    r"|(?:Timeout \(|Fatal Python error: ).*"  # a test that hangs, or ends its process
    r'|  File "(?!.*/site-packages/|<).*", line \d+ in \S+)$',  # where it is, in whatever thread
    re.MULTILINE,
)
"""What says why a step failed."""

COLOURS = re.compile(r"\x1b\[[\d;]*m")
"""What tools write where the environment says CI=true or FORCE_COLOR=1, terminal or not."""

STEP_TIMEOUT = 25 * 60
"""Seconds after which a step is killed: something hangs."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command that must succeed, and whose output must match `shows`."""

    name: str
    command: Sequence[str]
    shows: str = r"^=+ .*\d+ passed"
    folder: Path = CHECKOUT
    budget: float | None = None
    """CPU seconds that it may take, on a machine as fast as the reference."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self, *, quiet: bool = False) -> "Running":
        """Start it; a quiet one prints its output in `outcome`."""
        with tempfile.NamedTemporaryFile(prefix=f"{self.name}-", delete=False) as log:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log if quiet else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(self, process, Path(log.name), quiet=quiet)

    def run(self) -> "Outcome":
        """Run it, and print its output."""
        print(f"\n━━━━ {self.name}", flush=True)
        return self.start().outcome()


def tox(name: str, *arguments: str, **fields: Any) -> Step:
    """Return a step that runs a tox environment, with its budget."""
    command = [sys.executable, "-m", "tox", "run", "-q", "-e", name, "--", *arguments]
    return Step(name=name, command=command, **{"budget": BUDGET["cpu"].get(name), **fields})


class Running:
    """A step that was started."""

    def __init__(
        self, step: Step, process: "subprocess.Popen[bytes]", log: Path, *, quiet: bool
    ) -> None:
        self.step = step
        self.process = process
        self.log = log
        self.quiet = quiet
        self.since = time.monotonic()
        self._calibration = Calibration(BUDGET["reference"])
        self._watchdog = Timer(STEP_TIMEOUT, self.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        # In a thread, and not in `outcome`: the time of its end is measured.
        self._waiting = Thread(target=self._wait)
        self._waiting.start()

    def outcome(self) -> "Outcome":
        """Wait for its end, and return its outcome."""
        try:
            self._copy()
            self._waiting.join()
        except BaseException:
            self.kill()
            raise
        text = COLOURS.sub("", self.log.read_text(errors="replace"))
        self.log.unlink()
        if self.quiet:
            print(f"\n━━━━ {self.step.name}\n{text}", end="", flush=True)
        shown = re.search(self.step.shows, text, re.MULTILINE) is not None
        return Outcome(
            name=self.step.name,
            budget=self.step.budget,
            passed=self.process.returncode == 0 and shown,
            seconds=self.seconds,
            cpu=self.cpu,
            slowdown=self.slowdown,
            reasons=REASON.findall(text)[-30:] or text.splitlines()[-20:],
            closing=CLOSING.findall(text),
            left_out=LEFT_OUT.findall(text),
            report=self.step.folder / ".tox" / self.step.name / "tmp" / "report.xml",
        )

    def kill(self) -> None:
        """Kill it, and all processes that it started, if it still runs."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _wait(self) -> None:
        _, status, usage = os.wait4(self.process.pid, 0)
        self._watchdog.cancel()
        self.slowdown = self._calibration.stop()
        self.seconds = time.monotonic() - self.since
        self.cpu = usage.ru_utime + usage.ru_stime
        self.process.returncode = os.waitstatus_to_exitcode(status)

    def _copy(self) -> None:
        """Print its output, line by line, and write it to the log."""
        if self.process.stdout is None:
            return
        with self.log.open("ab") as log:
            for line in self.process.stdout:
                log.write(line)
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Whether a step passed, and how long it took."""

    name: str
    passed: bool
    seconds: float
    cpu: float
    slowdown: float
    """How many times slower than the reference the machine was."""
    budget: float | None
    reasons: Sequence[str]
    """What tells why it failed, if it did: the lines that do, or its last ones."""
    closing: Sequence[str]
    """The last lines of its pytest runs."""
    left_out: Sequence[str]
    """What these skipped."""
    report: Path
    """The report of its pytest run, if there is one."""

    @property
    def over(self) -> bool:
        """Whether it took more CPU seconds than its budget."""
        return self.budget is not None and self.cpu > self.budget * self.slowdown

    @property
    def verdict(self) -> str:
        """Whether it passed. CPU seconds far over the budget fail it; elapsed time does not."""
        if not self.passed:
            return "FAILED"
        if self.budget and self.cpu > BUDGET["fails_at"] * self.budget * self.slowdown:
            return "FAILED: far over its budget"
        return "over its budget" if self.over else "passed"

    def slowest_files(self, count: int = 10) -> list[tuple[str, float]]:
        """Return the test files that took longest, in seconds of their workers."""
        files: Counter[str] = Counter()
        if self.report.exists():
            for case in ElementTree.parse(self.report).iter("testcase"):
                module = re.sub(r"\.Test\w*$", "", case.attrib["classname"])
                files[module] += float(case.attrib["time"])
        return files.most_common(count)


def report(outcomes: Iterable[Outcome], *, budget: float | None, since: float) -> bool:
    """Print what each step took; return whether all passed."""
    outcomes, seconds = list(outcomes), time.monotonic() - since
    print(f"\n{'step':<16}{'seconds':>8}{'CPU':>8}{'budget':>8}{'slowdown':>10}  (CPU seconds)")
    for outcome in outcomes:
        limit = f"{outcome.budget:.0f}" if outcome.budget else "-"
        took = f"{outcome.seconds:>8.0f}{outcome.cpu:>8.0f}"
        print(f"{outcome.name:<16}{took}{limit:>8}{outcome.slowdown:>10.1f}  {outcome.verdict}")
    print(f"{'all':<16}{seconds:>8.0f}{sum(outcome.cpu for outcome in outcomes):>8.0f}")
    if budget is not None and seconds > budget:
        print(f"over the budget of {budget} seconds on two cores: a slow machine, or slow tests")
    for outcome in outcomes:
        if outcome.over:
            print(f"{outcome.name} is over its budget; its slowest files, in seconds:")
            for name, duration in outcome.slowest_files():
                print(f"{duration:>8.1f}  {name}")
    for outcome in outcomes:
        for line in outcome.left_out:
            print(f"{outcome.name}: {line}")
    failed = [outcome for outcome in outcomes if outcome.verdict.startswith("FAILED")]
    # After all else: of a long log, the end is what people are shown.
    for outcome in failed:
        for line in outcome.reasons:
            print(f"FAILED {outcome.name}: {line}")
    return not failed
