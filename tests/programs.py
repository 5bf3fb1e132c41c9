"""Python programs in processes of their own, which begin together."""

import subprocess
import sys
from collections.abc import Sequence


def start_programs(program: str, arguments: Sequence[Sequence[str]]) -> list[subprocess.Popen[str]]:
    """Start one process for each list of arguments; return once each has printed "ready".

    Each goes on when its stdin is closed.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
    return processes
