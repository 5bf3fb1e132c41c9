"""The farm: one temporary folder, one process group, and one reaper for both."""

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

from services import ports, reaper


class Farm:
    """Starts processes that end with it, each in its own folder."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="fibonacci-services-"))
        self._numbers = itertools.count(1)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, self._folder],
            stdin=subprocess.PIPE,
            process_group=0,
        )

    def folder(self, name: str) -> Path:
        """Create a folder that is removed with the farm."""
        path = self._folder / f"{name}-{next(self._numbers)}"
        path.mkdir(mode=0o700)
        return path

    def spawn(self, command: list[str], folder: Path, user: int | None) -> subprocess.Popen[bytes]:
        """Start `command` in `folder`, its output in `folder/log`; as another user if one is given.

        It joins the reaper's group, so it is ended in any case.
        """
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=self._reaper.pid,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        self._running = {process, *(p for p in self._running if p.poll() is None)}
        return process

    def close(self) -> None:
        """End what still runs, and wait until all is gone."""
        assert self._reaper.stdin
        self._reaper.stdin.close()
        self._reaper.wait()
        for process in self._running:
            process.wait()
        ports.release_all()


_open: list[Farm] = []


def ground() -> Farm:
    """Return this process's farm, created at first use."""
    if not _open:
        _open.append(Farm())
    return _open[0]


def close() -> None:
    """Close this process's farm, if there is one."""
    while _open:
        _open.pop().close()
