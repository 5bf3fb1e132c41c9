"""Errors of the server: each has its own message, without a secret or a value."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from services import valkey
from services.standalone import Redis

from fibonacci import (
    BackendUnavailableError,
    CorruptRecordError,
    MemoryConfig,
    StorageError,
    Workflow,
)
from fibonacci.plugin import Address, Space
from fibonacci_redis.layout import space_keys

from .fakes import raises_exactly

SPACE = Space("t:refused:", "workflow", "w")
KEY = Address(SPACE, "k")
NAME = (space_keys(SPACE).record_prefix + b"k").decode()


@pytest.fixture(scope="module")
def server(valkey_server: Redis) -> Iterator[Redis]:
    """A server of this module; available if the shared one is."""
    with valkey.standalone(enable_debug_command="yes") as own:
        yield own


@pytest.fixture
def client(open_client: Any, server: Redis) -> Any:
    client = open_client(server.url)
    yield client
    client.clear(SPACE)


def test_full_server_refuses_writes(client: Any, server: Redis) -> None:
    """A server whose memory is full refuses writes, and still reads and removes."""
    client("write", KEY, b"1", None)
    server("CONFIG", "SET", "maxmemory", "1")
    try:
        for verb in (
            lambda: client("write", KEY, b"2", None),
            lambda: client("write", Address(SPACE, "new"), b"2", None),
            lambda: client("compare_and_set", KEY, b"1", b"2", None),
            lambda: client("write_many", [(KEY, b"2"), (Address(SPACE, "x"), b"2")], None),
        ):
            with raises_exactly(BackendUnavailableError, "out of memory"):
                verb()
        assert client("read", KEY) == b"1"
        assert client.keys(SPACE) == ["k"]
        assert client("remove", KEY) is True
    finally:
        server("CONFIG", "SET", "maxmemory", "0")


def test_replica_refuses_writes(client: Any, server: Redis) -> None:
    """A replica refuses writes, and is used again after it became a primary (C20)."""
    client("write", KEY, b"1", None)
    server("REPLICAOF", "127.0.0.1", "1")
    try:
        with raises_exactly(BackendUnavailableError, "is a replica"):
            client("write", KEY, b"2", None)
        with raises_exactly(BackendUnavailableError, "is a replica"):
            client("remove", KEY)
    finally:
        server("REPLICAOF", "NO", "ONE")
    assert client("read", KEY) == b"1"


def test_loading_server_is_retried(client: Any, server: Redis) -> None:
    """A verb is retried while the server loads its data (C20)."""
    memory = _memory(server.url, timeout=20.0)
    memory.set("k", 1)
    server("CONFIG", "SET", "key-load-delay", "300")
    for number in range(2_000):
        server("SET", f"fill{number}", "x")
    loading = threading.Thread(target=lambda: server("DEBUG", "RELOAD"))
    loading.start()
    time.sleep(0.05)
    assert memory.set("k", 2)
    loading.join()
    server("CONFIG", "SET", "key-load-delay", "0")
    server("FLUSHALL")


def test_busy_server_is_transient(client: Any, server: Redis) -> None:
    """A server that is busy with a script is a transient error."""
    server("CONFIG", "SET", "busy-reply-threshold", "1")

    def spin() -> None:
        client = redis.Redis(host=server.host, port=server.port)
        with client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=spin)
    thread.start()
    time.sleep(0.1)
    try:
        with raises_exactly(BackendUnavailableError, "busy with a script"):
            client("write", KEY, b"2", None)
    finally:
        server("SCRIPT", "KILL")
        thread.join()


def test_unknown_script_is_sent_again(client: Any, server: Redis) -> None:
    """A script that the server does not know, after a restart for example, is sent in full."""
    client("write", KEY, b"1", None)
    server("SCRIPT", "FLUSH")
    assert client("compare_and_set", KEY, b"1", b"2", None) is True
    assert client("compare_and_set", KEY, b"1", b"2", None) is False


def test_key_of_another_type_is_corrupt(client: Any, server: Redis) -> None:
    """A key of another type at the address of a record is a CorruptRecordError (C8)."""
    server("LPUSH", NAME, "x")
    with raises_exactly(CorruptRecordError, "another type"):
        client("read", KEY)
    with raises_exactly(CorruptRecordError, "another type"):
        client("compare_and_set", KEY, b"1", b"2", None)
    server("DEL", NAME)
    server("SET", space_keys(SPACE).index.decode(), "x")
    for verb in (lambda: client("scan", SPACE), lambda: client("write", KEY, b"1", None)):
        with raises_exactly(CorruptRecordError, "another type"):
            verb()
    server("DEL", space_keys(SPACE).index.decode(), NAME)


def test_too_large_value_is_not_written(client: Any, server: Redis) -> None:
    """A value over the server's size limit is not written (C10)."""
    server("CONFIG", "SET", "proto-max-bulk-len", "1048576")
    try:
        with pytest.raises(StorageError):
            client("write", KEY, b"x" * 2_000_000, None)
        assert client("read", KEY) is None
    finally:
        server("CONFIG", "SET", "proto-max-bulk-len", "536870912")


def test_missing_database_is_a_permanent_error(open_client: Any, server: Redis) -> None:
    """A database that the server does not have is a permanent error."""
    with raises_exactly(StorageError, "no database"):
        open_client(server.url.replace("/0", "/999"))("read", KEY)


def test_needless_password_is_a_permanent_error(open_client: Any, server: Redis) -> None:
    """A password for a server without one is a permanent error, and is not shown (C23)."""
    with raises_exactly(StorageError, "has no password set") as raised:
        open_client(server.url.replace("//", "//:hunter2@"))("read", KEY)
    assert "hunter2" not in _full_text(raised.value)


def test_too_many_clients_is_transient(open_client: Any, server: Redis) -> None:
    """A server with too many clients is a transient error (C20)."""
    before = server("CONFIG", "GET", "maxclients")
    with redis.Redis(host=server.host, port=server.port) as held:
        held.config_set("maxclients", 1)
        try:
            for url in (server.url, server.url.replace("/0", "/3")):
                with raises_exactly(
                    BackendUnavailableError, "too many clients|closed the connection"
                ):
                    open_client(url)("read", KEY)
        finally:
            held.config_set("maxclients", before[1].decode())


def test_cluster_url_of_a_single_server_is_refused(open_client: Any, server: Redis) -> None:
    """The error for a cluster URL that leads to a single server says what to write instead."""
    client = open_client(server.url.replace("redis://", "redis+cluster://").removesuffix("/0"))
    with raises_exactly(StorageError, "not in a cluster"):
        client("read", KEY)


def test_wrong_password_is_not_shown(open_client: Any, server: Redis) -> None:
    """A wrong password is a permanent error, and is not shown (C23)."""
    server("CONFIG", "SET", "requirepass", "right")
    try:
        with raises_exactly(StorageError, "requires a password"):
            open_client(server.url)("read", KEY)
        for login in (":hunter2@", "who:hunter2@"):
            with raises_exactly(StorageError, "rejected the user name") as raised:
                open_client(server.url.replace("//", f"//{login}"))("read", KEY)
            assert "hunter2" not in _full_text(raised.value)
        assert open_client(server.url.replace("//", "//:right@"))("read", KEY) is None
    finally:
        redis.Redis(host=server.host, port=server.port, password="right").config_set(
            "requirepass", ""
        )


class ExpiringTokens:
    """A credential provider whose tokens expire."""

    def __init__(self) -> None:
        self.token = "first"
        self.calls = 0

    def get_credentials(self) -> tuple[str, str]:
        self.calls += 1
        return "app", self.token


def test_new_connection_gets_a_new_token(open_client: Any, server: Redis) -> None:
    """Each new connection requests credentials from the provider, and so uses a new token."""
    tokens = ExpiringTokens()
    server("ACL", "SETUSER", "app", "on", ">first", "~*", "+@all")
    client = open_client(server.url, credential_provider=tokens)
    client("write", KEY, b"1", None)
    assert tokens.calls == 1
    server("ACL", "SETUSER", "app", "<first", ">second")
    server("CLIENT", "KILL", "USER", "app")
    tokens.token = "second"
    time.sleep(0.01)
    assert client("read", KEY) == b"1"
    assert tokens.calls == 2
    server("ACL", "DELUSER", "app")


def test_credential_provider_error_hides_its_message(open_client: Any, server: Redis) -> None:
    """The error for a credential provider that raises contains its class, not its message."""

    class Broken:
        def get_credentials(self) -> tuple[str, str]:
            raise RuntimeError("hunter2")

    with raises_exactly(BackendUnavailableError, "RuntimeError") as raised:
        open_client(server.url, credential_provider=Broken())("read", KEY)
    assert "hunter2" not in _full_text(raised.value)


def test_unreachable_server_is_transient(open_client: Any) -> None:
    """A host without an address, or a missing socket, is a transient error."""
    with raises_exactly(BackendUnavailableError, "can't connect to"):
        open_client("redis://nowhere.invalid")("read", KEY)
    with raises_exactly(BackendUnavailableError, "can't connect to"):
        open_client("unix:///nowhere.sock")("read", KEY)


def test_unix_socket_works(open_client: Any, tmp_path: Path) -> None:
    """A unix socket works like a port."""
    path = tmp_path / "redis.sock"
    with valkey.standalone(unixsocket=str(path)):
        client = open_client(f"unix://{path}?db=2")
        client("write", KEY, b"1", None)
        assert client.keys(SPACE) == ["k"]
        assert client("read", KEY) == b"1"


def test_log_has_no_value_and_no_password(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """No value and no password is logged, not even after errors (C23)."""
    caplog.set_level(logging.DEBUG)
    url = server.url.replace("//", "//default:hunter2@")
    memory = _memory(url)
    memory.set("k", "swordfish")
    server("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StorageError) as raised:
            memory.set("k", "swordfish")
    finally:
        server("CONFIG", "SET", "maxmemory", "0")
    shown = _full_text(raised.value) + caplog.text + repr(memory)
    assert "swordfish" not in shown
    assert "hunter2" not in shown


def _memory(url: str, timeout: float = 1.0) -> Any:
    config = MemoryConfig(
        backend="redis", connection_url=url, key_prefix="t:refused:", timeout=timeout
    )
    return Workflow("w", config).memory


def _full_text(error: BaseException | None) -> str:
    """Return the texts of an error, its causes and contexts."""
    text = ""
    while error is not None:
        text += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    return text
