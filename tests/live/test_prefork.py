"""Workers forked from a connected parent, as prefork servers do."""

import json
import subprocess
import sys

from fibonacci import MemoryConfig, Workflow

ON = ("sqlite", "redis", "postgres")

FORKS = "This process"
"""Python's warning about forks beside threads, which async sqlite has: that is tested."""

PROGRAM = """
import asyncio, json, os, sys
from fibonacci import MemoryConfig, Workflow

memory = Workflow("prefork", MemoryConfig(*sys.argv[1:], timeout=20)).memory.for_user("ada")


async def append(name, numbers):
    for number in numbers:
        await memory.aappend("turns", [name, number])


def work(name):
    for number in range(25):
        memory.append("turns", [name, number])
    asyncio.run(append(name, range(25, 50)))


memory.append("turns", ["parent", 0])
asyncio.run(append("parent", [1]))
workers = []
for number in range(4):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work(f"worker {number}")
            status = 0
        finally:
            os._exit(status)
    workers.append(pid)
asyncio.run(append("parent", range(2, 12)))
print(json.dumps([os.waitpid(pid, 0)[1] for pid in workers]))
"""


def test_four_workers_forked_after_connect(
    backend_and_url: tuple[str, str], config: MemoryConfig
) -> None:
    """Parent and workers append at once, sync and async; all 212 turns stay, in their order."""
    ran = subprocess.run(
        [
            sys.executable,
            "-W",
            f"ignore:{FORKS}:DeprecationWarning",
            "-c",
            PROGRAM,
            *backend_and_url,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == [0] * 4
    with Workflow("any", config) as workflow:
        turns = workflow.memory.get("turns", scope="user", user_id="ada")
    for name in ("parent", "worker 0", "worker 1", "worker 2", "worker 3"):
        own = [number for whose, number in turns if whose == name]
        assert own == list(range(12 if name == "parent" else 50))
    assert len(turns) == 212
