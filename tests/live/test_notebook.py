"""In a running event loop, as in a notebook: `await` at the top level, and sync verbs beside it."""

import subprocess
import sys

ON = ("memory", "sqlite", "redis", "postgres")

CELLS = """
from fibonacci import LLMNode, MemoryConfig, Workflow
workflow = Workflow("notes", MemoryConfig({!r}, {!r}, timeout=20))
workflow.add_node(LLMNode("chat", "echo", "{{{{memory.turns}}}}", memory_read=["turns"]))
ada = workflow.memory.for_user("ada")
ada.append("turns", 1)
await ada.aappend("turns", 2)
ada.append("turns", 3)
(await workflow.aexecute(user_id="ada"))["chat"]
workflow.execute(user_id="ada")["chat"]
import asyncio
sorted(await asyncio.gather(*(ada.aincrement("n") for _ in range(5))))
ada.increment("n")
asyncio.get_running_loop().is_running()
await workflow.aclose()
"""
"""Each line is a cell: one loop runs them all, and is running while they do."""


def test_sync_and_async_calls_in_a_running_loop(backend_and_url: tuple[str, str]) -> None:
    """Sync and async calls see each other's writes in any order within one running loop (C21)."""
    notebook = subprocess.run(
        [sys.executable, "-W", "error", "-m", "asyncio"],
        input=CELLS.format(*backend_and_url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = notebook.stdout.replace(">>> ", "").split("\n")
    assert [line for line in shown if line] == [
        *("1", "2", "3", "'[1,2,3]'", "'[1,2,3]'", "[1, 2, 3, 4, 5]", "6", "True")
    ], notebook.stderr
    assert "Error" not in notebook.stderr
    assert notebook.returncode == 0
