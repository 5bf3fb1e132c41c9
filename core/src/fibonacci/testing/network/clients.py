"""Which clients' connections the kernel still reports as established."""

from collections.abc import Iterator
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"


def clients(port: int) -> set[int]:
    """Return the ports of clients that can't know yet that the server on ``port`` disconnected.

    Only Linux has these tables; elsewhere the result is empty.
    """
    ends = [(_number(line[1]), _number(line[2]), line[3]) for line in _lines()]
    return {ours for ours, theirs, state in ends if theirs == port and state == _ESTABLISHED}


def _lines() -> Iterator[list[str]]:
    for table in _TABLES:
        if table.exists():
            yield from (line.split() for line in table.read_text().splitlines()[1:])


def _number(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
