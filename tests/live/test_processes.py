"""Several processes change the same records at once (C16)."""

import subprocess
import sys

from fibonacci import MemoryConfig, Workflow

ON = ("sqlite", "redis", "postgres", "dynamodb")

PROGRAM = """
import sys
from fibonacci import MemoryConfig, Workflow

backend, url, name = sys.argv[1:]
memory = Workflow("shared", MemoryConfig(backend=backend, connection_url=url, timeout=20)).memory
sys.stdin.readline()
for number in range(100):
    memory.append("turns", [name, number])
    memory.increment("count")
"""


def test_nothing_is_lost_among_four_processes(place: tuple[str, str], config: MemoryConfig) -> None:
    """400 of 400 appends and increments are there, each process's in its own order (C16)."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *place, f"p{number}"],
            stdin=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.close()
    assert [worker.wait(60) for worker in workers] == [0] * 4
    memory = Workflow("shared", config).memory
    turns = memory.get("turns")
    assert memory.get("count") == 400
    assert len(turns) == 400
    for number in range(4):
        own = [turn for name, turn in turns if name == f"p{number}"]
        assert own == list(range(100))
