"""A process that can be killed, paused and started again."""

import signal
import subprocess
import time
from pathlib import Path

from services import farm
from services.reaper import family, living, signal_all

_STOP_TIMEOUT = 5.0  # seconds for a process to end by itself


class Process:
    """One command in one folder. Signals go to its children too, such as PostgreSQL's backends."""

    def __init__(self, command: list[str], folder: Path, *, user: int | None = None) -> None:
        self.command = command
        self.folder = folder
        self._user = user
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._popen, "not started"
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        assert not self.alive, "it runs already"
        self._popen = farm.ground().spawn(self.command, self.folder, self._user)

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it by SIGINT; by SIGKILL if it takes too long."""
        self.resume()
        self._end(signal.SIGINT)  # upon SIGTERM PostgreSQL would wait for its clients to go

    def pause(self) -> None:
        """Stop it by SIGSTOP: connections stay open, and nothing replies."""
        signal_all(self._family(), signal.SIGSTOP)

    def resume(self) -> None:
        signal_all(self._family(), signal.SIGCONT)

    def wait(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        assert self._popen, "not started"
        return self._popen.wait(timeout=60)

    def log(self) -> str:
        """Return the end of its output."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def _family(self) -> list[int]:
        return family(pid=self.pid) if self.alive else []

    def _end(self, number: int) -> None:
        if self._popen is None or self._popen.poll() is not None:
            return
        members = self._family()
        signal_all(members if number == signal.SIGKILL else [self.pid], number)
        try:
            self._popen.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            signal_all(members, signal.SIGKILL)
            self._popen.wait()
        deadline = time.monotonic() + _STOP_TIMEOUT
        while (
            living(members) and time.monotonic() < deadline
        ):  # its children, whom we cannot wait for
            time.sleep(0.001)
