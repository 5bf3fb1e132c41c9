"""Certificates and ACL rules: what is enough, and what is refused."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.standalone import Redis

from fibonacci import BackendUnavailableError, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import ABSENT, Address, Space

SPACE = Space("t:refused:", "workflow", "w")
KEY = Address(SPACE, "k")


def exactly(kind: type[Exception], message: str) -> Any:
    return pytest.raises(kind, match=message, check=lambda error: type(error) is kind)


def test_rules_of_the_readme(either_server: Redis) -> None:
    """The ACL rules that the README shows are enough for every verb."""
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
    """The URL of a user who may do nothing dangerous, and only to `t*`."""
    rules = ("on", ">password", "~t*", "&*", "+@all", "-@dangerous")
    either_server("ACL", "SETUSER", "narrow", *rules)
    yield either_server.url.replace("//", "//narrow:password@")
    either_server("ACL", "DELUSER", "narrow")


@pytest.fixture(params=["valkey_tls", "secured_redis"])
def encrypted(request: pytest.FixtureRequest) -> Any:
    """A server with mutual TLS: a Valkey behind a terminator, or a Redis with its own."""
    return request.getfixturevalue(request.param)


def test_forbidden(open_client: Any, narrow: str) -> None:
    """A key or a command that the ACL forbids is no passing fault."""
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
        with exactly(StorageError, "denied this user a command or a key"):
            verb()


def test_wrong_password(open_client: Any, narrow: str) -> None:
    """A password that the server does not take is no passing fault."""
    with exactly(StorageError, "rejected the user name"):
        open_client(narrow.replace("password", "wrong"))("read", KEY)


def test_right_certificates(open_client: Any, encrypted: Any, tls_of: Any) -> None:
    """A server with mutual TLS serves who has the certificate that it wants."""
    client = open_client(encrypted.url, **tls_of(encrypted))
    client("write", KEY, b"1" * 100_000, None)
    assert client("read", KEY) == b"1" * 100_000
    assert client("remove", KEY) is True


def test_strange_certificates(open_client: Any, encrypted: Any, tls_of: Any) -> None:
    """Certificates that are not accepted are no passing fault, on either side."""
    made, options = encrypted.certificates, tls_of(encrypted)
    with exactly(StorageError, "certificate"):
        open_client(encrypted.url, **{**options, "ssl_ca_certs": str(made.other_ca)})("read", KEY)
    stranger = {"ssl_certfile": str(made.stranger), "ssl_keyfile": str(made.stranger_key)}
    with pytest.raises(StorageError):
        open_client(encrypted.url, **{**options, **stranger})("read", KEY)
    with pytest.raises(StorageError):
        open_client(encrypted.url, ssl_ca_certs=str(made.ca))("read", KEY)


def test_plain_to_tls(open_client: Any, encrypted: Any) -> None:
    """Without TLS, a server that wants it can't be reached."""
    with pytest.raises(BackendUnavailableError):
        open_client(encrypted.url.replace("rediss", "redis"))("read", KEY)
