"""What a fresh installation must be able to do: one round trip, sync and async.

smoke.py [--core-only]

`--core-only`: only core is installed, and must not need what only tests need.
"""

import asyncio
import importlib.util
import sys

from fibonacci import MemoryConfig, Workflow


async def _await_round_trip(workflow: Workflow) -> None:
    value = {"turns": ["hello", 1, 2.5, None, "ünïcode"]}
    assert await workflow.memory.aset("async", value) is True
    assert await workflow.memory.aget("async") == value
    assert await workflow.memory.alist_keys() == ["async"]
    assert await workflow.memory.adelete("async") is True
    assert await workflow.memory.aexists("async") is False


def _round_trip(workflow: Workflow) -> None:
    value = {"turns": ["hello", 1, 2.5, None, "ünïcode"]}
    assert workflow.memory.set("sync", value, scope="user", user_id="u1", ttl=60) is True
    assert workflow.memory.get("sync", scope="user", user_id="u1") == value
    assert workflow.memory.get("sync", default="mine only") == "mine only"
    assert workflow.memory.list_keys(scope="user", user_id="u1") == ["sync"]
    assert workflow.memory.clear(scope="user", user_id="u1") is True
    assert workflow.memory.exists("sync", scope="user", user_id="u1") is False


if "--core-only" in sys.argv:
    present = [name for name in ("pytest", "hypothesis", "redis") if importlib.util.find_spec(name)]
    assert not present, f"the environment is not clean: {present}"

with Workflow(name="smoke", memory_config=MemoryConfig()) as workflow:
    _round_trip(workflow)
    asyncio.run(_await_round_trip(workflow))
print("smoke: ok")
