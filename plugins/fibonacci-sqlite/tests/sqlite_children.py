"""Forked children."""

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from typing import BinaryIO

CHILD_TIMEOUT = 30.0
"""Seconds that a child may take; one that hangs is killed."""

Send = Callable[[str], None]
"""Sends a line to the parent."""


class Child:
    """A forked process that does some work, and may send lines to its parent meanwhile."""

    def __init__(self, work: Callable[[Send], object]) -> None:
        """Fork."""
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks while threads run; these tests prove that they do no harm.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            os.close(reading)
            _run(work, writing)
        os.close(writing)
        self.lines: BinaryIO = os.fdopen(reading, "rb")

    def next(self) -> str:
        """Wait for the next line; return "" at the end."""
        return self.lines.readline().decode().rstrip("\n")

    def kill(self) -> list[str]:
        """Kill the child; return the remaining lines."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return self._rest()

    def end(self) -> list[str]:
        """Wait until it ends; return the remaining lines. Raises AssertionError if it failed."""
        deadline = time.monotonic() + CHILD_TIMEOUT
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        while not ended:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
            ended, status = os.waitpid(self.pid, os.WNOHANG)
        lines = self._rest()
        assert status == 0, "\n".join(lines) or f"the child hung, or died (status {status})"
        return lines

    def _rest(self) -> list[str]:
        with self.lines:
            return self.lines.read().decode().splitlines()


class Gate:
    """Lets several children continue at the same moment."""

    def __init__(self) -> None:
        """Be shut."""
        self._reading, self._writing = os.pipe()

    def wait(self) -> None:
        """Wait, in a child, until the gate opens."""
        os.close(self._writing)
        os.read(self._reading, 1)

    def open(self) -> None:
        """Let all children continue."""
        os.close(self._reading)
        os.close(self._writing)


def _run(work: Callable[[Send], object], report: int) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(2 * round(CHILD_TIMEOUT))  # the child ends, even if the test has ended
    code, output = 1, os.fdopen(report, "w", closefd=False)
    try:
        work(lambda line: print(line, file=output, flush=True))
        code = 0
    except BaseException:  # noqa: BLE001 - sent to the parent
        print(traceback.format_exc()[-4_000:], file=output, flush=True)
    finally:
        os._exit(code)
