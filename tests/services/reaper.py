"""Ends every server and removes their folders when the farm is gone, however it ended.

    python -I -S reaper.py FOLDER

Standard input is a pipe that the farm holds open: its end is the farm's end, also by SIGKILL. The
servers are in the process group of this process, so none can be missed, and no pid be mistaken.
"""

import os
import shutil
import signal
import sys
import time

_STOP_TIMEOUT = 5.0  # seconds for a server to end by itself


def family(*, pid: int = 0, group: int = 0) -> list[int]:
    """Return the living processes that are `pid` or in `group`, and all their descendants.

    PostgreSQL's backends leave the group of their parent, hence the descent.
    """
    processes = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    members = {p for p, (_, _, of) in processes.items() if p == pid or (group and of == group)}
    grown = True
    while grown:
        born = {p for p, (_, parent, _) in processes.items() if parent in members} - members
        members |= born
        grown = bool(born)
    return living(sorted(members))


def living(pids: list[int]) -> list[int]:
    """Return those that have not ended; a zombie has."""
    return [pid for pid in pids if _stat(str(pid))[0] not in "ZX"]


def signal_all(pids: list[int], number: int) -> None:
    """Send a signal to each that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _stat(pid: str) -> tuple[str, int, int]:
    """Return state, parent and process group."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent, group, *_ = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0, 0
    return state, int(parent), int(group)


def _servers() -> list[int]:
    return [pid for pid in family(group=os.getpgrp()) if pid != os.getpid()]


def _reap(folder: str) -> None:
    signal_all(_servers(), signal.SIGCONT)
    # Fast shutdown for PostgreSQL, which otherwise leaves shared memory; the others accept it too.
    signal_all(_servers(), signal.SIGINT)
    deadline = time.monotonic() + _STOP_TIMEOUT
    while (pids := _servers()) and time.monotonic() < deadline:
        time.sleep(0.01)
    signal_all(pids, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _reap(sys.argv[1])
