"""Certificates and ACL rules: which suffice, and which are refused."""

import re
import select
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci import BackendUnavailableError, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import ABSENT, Address, Space
from fibonacci_redis.connection import Connection

from .fakes import raises_exactly

SPACE = Space("t:refused:", "workflow", "w")
KEY = Address(SPACE, "k")


def test_rules_of_the_readme_suffice(either_server: Redis) -> None:
    """The ACL rules in the README suffice for every verb."""
    page = (Path(__file__).parents[1] / "README.md").read_text()
    rules = re.search(r"ACL SETUSER fibonacci (.*?)```", page, re.DOTALL)
    assert rules
    either_server("ACL", "SETUSER", "fibonacci", *rules[1].split())
    url = either_server.url.replace("//", "//fibonacci:password@").replace("/0", "/1")
    memory = Workflow("rules", MemoryConfig(backend="redis", connection_url=url)).memory
    memory.set("k", 1, ttl=60)
    memory.set("k", 2)
    assert memory.add("list", [], ttl=60)
    assert memory.append("list", 1) == 1
    assert memory.update("long", lambda _: "x" * 20_000)
    assert memory.update("long", lambda found: found + "y")
    assert memory.touch("k", 60)
    assert memory.ttl("k")
    for number in range(100):
        memory.set(f"short{number}", 1, ttl=0.001)
    memory.set_many({"a": 1, "b": 2})
    memory.set_many({"a": 1, "b": 2}, ttl=60)
    assert memory.get_many(["a", "b"]) == {"a": 1, "b": 2}
    assert memory.list_keys(pattern="[abkl]*") == ["a", "b", "k", "list", "long"]
    assert memory.delete("a")
    assert memory.delete_many(["b"]) == 1
    assert memory.exists("k")
    assert memory.clear()
    either_server("ACL", "DELUSER", "fibonacci")


@pytest.fixture
def narrow(either_server: Redis) -> Iterator[str]:
    """The URL of a user with the safe commands, and only for keys ``t*``."""
    rules = ("on", ">password", "~t*", "&*", "+@all", "-@dangerous")
    either_server("ACL", "SETUSER", "narrow", *rules)
    yield either_server.url.replace("//", "//narrow:password@")
    either_server("ACL", "DELUSER", "narrow")


@pytest.fixture(params=["valkey_tls", "secured_redis"])
def encrypted(request: pytest.FixtureRequest) -> Any:
    """A server with mutual TLS: a Valkey with a TLS proxy, or a Redis with its own TLS."""
    return request.getfixturevalue(request.param)


def test_forbidden_key_is_a_permanent_error(open_client: Any, narrow: str) -> None:
    """A key or command that the ACL forbids is a permanent error."""
    client = open_client(narrow)
    client("write", KEY, b"1", None)
    assert client("remove", KEY) is True
    outside = Address(Space("outside:", "workflow", "w"), "k")
    for verb in (
        lambda: client("read", outside),
        lambda: client("write", outside, b"1", None),
        lambda: client("compare_and_set", outside, ABSENT, b"1", None),
        lambda: client("read_many", [KEY, outside]),
        lambda: client("scan", outside.space),
    ):
        with raises_exactly(StorageError, "denied this user a command or a key"):
            verb()


def test_wrong_password_is_a_permanent_error(open_client: Any, narrow: str) -> None:
    """A password that the server rejects is a permanent error."""
    with raises_exactly(StorageError, "rejected the user name"):
        open_client(narrow.replace("password", "wrong"))("read", KEY)


def test_mutual_tls_works(open_client: Any, encrypted: Any, tls_of: Any) -> None:
    """A client with the required certificate reads and writes over mutual TLS."""
    client = open_client(encrypted.url, **tls_of(encrypted))
    client("write", KEY, b"1" * 100_000, None)
    assert client("read", KEY) == b"1" * 100_000
    assert client("remove", KEY) is True


def test_rejected_certificates_are_a_permanent_error(
    open_client: Any, encrypted: Any, tls_of: Any
) -> None:
    """Certificates that either side rejects are a permanent error."""
    files, options = encrypted.certificates, tls_of(encrypted)
    with raises_exactly(StorageError, "certificate"):
        open_client(encrypted.url, **{**options, "ssl_ca_certs": str(files.other_ca)})("read", KEY)
    other = {"ssl_certfile": str(files.stranger), "ssl_keyfile": str(files.stranger_key)}
    with pytest.raises(StorageError):
        open_client(encrypted.url, **{**options, **other})("read", KEY)
    with pytest.raises(StorageError):
        open_client(encrypted.url, ssl_ca_certs=str(files.ca))("read", KEY)


def test_certificate_rejected_by_the_server_is_a_permanent_error(
    open_client: Any, tmp_path: Path, valkey_server: Redis, tls_of: Any
) -> None:
    """A client's certificate that the server rejects is a permanent error, which names the options.

    With TLS 1.2 the client always learns of it: its handshake waits for the server's decision. With
    TLS 1.3 it may send first, and find the connection closed.
    """
    with TLSTerminator(tmp_path, valkey_server, mutual=True) as server:
        server._context.maximum_version = ssl.TLSVersion.TLSv1_2
        files = server.certificates
        other = {"ssl_certfile": str(files.stranger), "ssl_keyfile": str(files.stranger_key)}
        client = open_client(server.url.replace("redis:", "rediss:"), **{**tls_of(server), **other})
        with raises_exactly(StorageError, "certificates were rejected by .* ssl_certfile"):
            client("read", KEY)


@pytest.mark.parametrize("mode", ["sync"])
@pytest.mark.parametrize("login", ["", ":hunter2@"])
def test_certificate_rejected_before_the_first_request_is_a_permanent_error(
    open_client: Any, valkey_tls: Any, tls_of: Any, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that is rejected after a TLS 1.3 handshake is reported, without the password.

    The server has closed the connection before the client sends anything.
    """
    on_connect = Connection.on_connect

    def wait_for_the_end(connection: Connection, redis_py: Any) -> None:
        on_connect(connection, redis_py)
        end = select.poll()
        end.register(connection.socket, 0)
        assert end.poll(60_000)

    monkeypatch.setattr(Connection, "on_connect", wait_for_the_end)
    files = valkey_tls.certificates
    other = {"ssl_certfile": str(files.stranger), "ssl_keyfile": str(files.stranger_key)}
    url = valkey_tls.url.replace("//", f"//{login}")
    client = open_client(url, **{**tls_of(valkey_tls), **other})
    with raises_exactly(StorageError, "certificates were rejected by .* ssl_certfile") as caught:
        client("read", KEY)
    cause = caught.value.__cause__
    assert (cause.__traceback__, cause.__cause__, cause.__context__) == (None, None, None)


def test_plain_connection_to_tls_fails(open_client: Any, encrypted: Any) -> None:
    """A connection without TLS to a server that requires it fails."""
    with pytest.raises(BackendUnavailableError):
        open_client(encrypted.url.replace("rediss", "redis"))("read", KEY)
