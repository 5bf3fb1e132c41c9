"""Round trips of one execution, counted on the connection to the server."""

import asyncio
from typing import Any

import pytest
from services.proxy import Proxy

from fibonacci import LLMNode, MemoryConfig, Scope, Workflow

SERVERS = {"redis": "valkey_server", "postgres": "postgres_server"}

KEYS: dict[str, Scope] = {"a": "user", "b": "workflow", "c": "organization", "d": "global"}
"""Each is in another scope; a node that names no scope looks for each in all four."""


@pytest.fixture(params=SERVERS)
def between(request: pytest.FixtureRequest) -> Any:
    """A backend, the URL of its server through a proxy, and the proxy."""
    server = request.getfixturevalue(SERVERS[request.param])
    with Proxy(server) as proxy:
        url = proxy.url
        if request.param == "postgres":
            own = request.getfixturevalue("postgres_url")
            url = own.replace(f":{server.port}/", f":{proxy.port}/")
        yield request.param, url, proxy


def counted(backend: str, url: str) -> Workflow:
    """Return a workflow of one node that reads four keys without scopes."""
    workflow = Workflow("counted", MemoryConfig(backend, url, key_prefix="counted:"))
    prompt = " ".join(f"{{{{memory.{key}}}}}" for key in KEYS)
    workflow.add_node(LLMNode("n", "echo", prompt, memory_read=list(KEYS)))
    for key, scope in KEYS.items():
        workflow.memory.set(key, key, scope, user_id="u" if scope == "user" else None)
    return workflow


def test_a_node_reads_its_memory_in_one_round_trip(between: Any) -> None:
    """Four keys, looked up in four scopes, take one request and one reply (C26)."""
    backend, url, proxy = between
    with counted(backend, url) as workflow:
        workflow.execute(user_id="u")
        with proxy.record() as traffic:
            assert workflow.execute(user_id="u")["n"] == "a b c d"
        assert traffic.round_trips == 1


def test_async_node_reads_its_memory_in_one_round_trip(between: Any) -> None:
    """Four keys, looked up in four scopes, take one round trip in async code (C26)."""
    backend, url, proxy = between

    async def run() -> int:
        async with counted(backend, url) as workflow:
            await workflow.aexecute(user_id="u")
            with proxy.record() as traffic:
                assert (await workflow.aexecute(user_id="u"))["n"] == "a b c d"
            return traffic.round_trips

    assert asyncio.run(run()) == 1
