"""What one execution asks of a server, counted at the wire."""

import pytest
from services.proxy import Proxy

from fibonacci import LLMNode, MemoryConfig, Workflow

SERVERS = ("valkey_server", "postgres_server")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_node_reads_its_memory_in_one_round_trip(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Four keys that are looked for in four scopes are one request and one answer (C26)."""
    server = request.getfixturevalue(kind)
    backend = "redis" if kind == "valkey_server" else "postgres"
    with Proxy(server) as proxy:
        url = proxy.url
        if backend == "postgres":
            url = request.getfixturevalue("postgres_url").replace(
                f":{server.port}/", f":{proxy.port}/"
            )
        workflow = Workflow("counted", MemoryConfig(backend, url, key_prefix="counted:"))
        keys = ["a", "b", "c", "d"]
        prompt = " ".join(f"{{{{memory.{key}}}}}" for key in keys)
        workflow.add_node(LLMNode("n", "echo", prompt, memory_read=keys))
        workflow.memory.set("a", "a", scope="user", user_id="u")
        for key, scope in (("b", "workflow"), ("c", "organization"), ("d", "global")):
            workflow.memory.set(key, key, scope)
        workflow.execute(user_id="u")
        with proxy.record() as traffic:
            assert workflow.execute(user_id="u")["n"] == "a b c d"
        assert traffic.round_trips == 1
        workflow.close()
