"""Several processes change the same records at once (C16)."""

from programs import start_programs

from fibonacci import MemoryConfig, Workflow

ON = ("sqlite", "redis", "postgres", "dynamodb")

PROCESSES = 4

PROGRAM = """
import sys
from fibonacci import MemoryConfig, Workflow

backend, url, name, turns = sys.argv[1:]
memory = Workflow("shared", MemoryConfig(backend=backend, connection_url=url, timeout=20)).memory
memory.exists("count")
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(turns)):
    memory.append("turns", [name, number])
    memory.increment("count")
"""


def test_concurrent_processes_lose_nothing(
    backend_and_url: tuple[str, str], config: MemoryConfig
) -> None:
    """Four processes' appends and increments all count, each process's in order (C16).

    They start together, once all of them are connected. Twenty turns do not always overlap if
    one takes less than a millisecond.
    """
    turns = 20 if config.backend == "dynamodb" else 100
    workers = start_programs(
        PROGRAM, [(*backend_and_url, f"p{number}", f"{turns}") for number in range(PROCESSES)]
    )
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    assert [worker.wait(120) for worker in workers] == [0] * PROCESSES
    memory = Workflow("shared", config).memory
    kept = memory.get("turns")
    assert memory.get("count") == PROCESSES * turns
    assert len(kept) == PROCESSES * turns
    for number in range(PROCESSES):
        own = [turn for name, turn in kept if name == f"p{number}"]
        assert own == list(range(turns))
