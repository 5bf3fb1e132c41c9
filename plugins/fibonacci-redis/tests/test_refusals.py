"""What the server refuses: told as what it is, and without a secret or a value."""

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

SPACE = Space("t:refused:", "workflow", "w")
KEY = Address(SPACE, "k")
NAME = (space_keys(SPACE).record_prefix + b"k").decode()


@pytest.fixture(scope="module")
def server(valkey_server: Redis) -> Iterator[Redis]:
    """A server of these tests' own; where there is the shared one."""
    with valkey.standalone(enable_debug_command="yes") as own:
        yield own


@pytest.fixture
def client(open_client: Any, server: Redis) -> Any:
    client = open_client(server.url)
    yield client
    client.clear(SPACE)


def exactly(kind: type[Exception], message: str) -> Any:
    return pytest.raises(kind, match=message, check=lambda error: type(error) is kind)


def test_out_of_memory(client: Any, server: Redis) -> None:
    """A full server takes no writes, and still reads and removes."""
    client("write", KEY, b"1", None)
    server("CONFIG", "SET", "maxmemory", "1")
    try:
        for verb in (
            lambda: client("write", KEY, b"2", None),
            lambda: client("write", Address(SPACE, "new"), b"2", None),
            lambda: client("compare_and_set", KEY, b"1", b"2", None),
            lambda: client("write_many", [(KEY, b"2"), (Address(SPACE, "x"), b"2")], None),
        ):
            with exactly(BackendUnavailableError, "out of memory"):
                verb()
        assert client("read", KEY) == b"1"
        assert client.keys(SPACE) == ["k"]
        assert client("remove", KEY) is True
    finally:
        server("CONFIG", "SET", "maxmemory", "0")


def test_read_only_replica(client: Any, server: Redis) -> None:
    """A replica takes no writes, and is asked anew when it is a primary again (C20)."""
    client("write", KEY, b"1", None)
    server("REPLICAOF", "127.0.0.1", "1")
    try:
        with exactly(BackendUnavailableError, "is a replica"):
            client("write", KEY, b"2", None)
        with exactly(BackendUnavailableError, "is a replica"):
            client("remove", KEY)
    finally:
        server("REPLICAOF", "NO", "ONE")
    assert client("read", KEY) == b"1"


def test_loading(client: Any, server: Redis) -> None:
    """A server that loads its data is waited for (C20)."""
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


def test_busy(client: Any, server: Redis) -> None:
    """A server that runs somebody's endless script says so, and has applied nothing."""
    server("CONFIG", "SET", "busy-reply-threshold", "1")

    def spin() -> None:
        client = redis.Redis(host=server.host, port=server.port)
        with client, contextlib.suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=spin)
    thread.start()
    time.sleep(0.1)
    try:
        with exactly(BackendUnavailableError, "busy with a script"):
            client("write", KEY, b"2", None)
    finally:
        server("SCRIPT", "KILL")
        thread.join()


def test_scripts_forgotten(client: Any, server: Redis) -> None:
    """A server that forgot a script, after a restart say, is given it again."""
    client("write", KEY, b"1", None)
    server("SCRIPT", "FLUSH")
    assert client("compare_and_set", KEY, b"1", b"2", None) is True
    assert client("compare_and_set", KEY, b"1", b"2", None) is False


def test_foreign_type(client: Any, server: Redis) -> None:
    """A key of another type where a record should be is somebody else's (C8)."""
    server("LPUSH", NAME, "x")
    with exactly(CorruptRecordError, "another type"):
        client("read", KEY)
    with exactly(CorruptRecordError, "another type"):
        client("compare_and_set", KEY, b"1", b"2", None)
    server("DEL", NAME)
    server("SET", space_keys(SPACE).index.decode(), "x")
    for verb in (lambda: client("scan", SPACE), lambda: client("write", KEY, b"1", None)):
        with exactly(CorruptRecordError, "another type"):
            verb()
    server("DEL", space_keys(SPACE).index.decode(), NAME)


def test_too_large(client: Any, server: Redis) -> None:
    """A value over a limit that the server was given is not written (C10)."""
    server("CONFIG", "SET", "proto-max-bulk-len", "1048576")
    try:
        with pytest.raises(StorageError):
            client("write", KEY, b"x" * 2_000_000, None)
        assert client("read", KEY) is None
    finally:
        server("CONFIG", "SET", "proto-max-bulk-len", "536870912")


def test_no_such_database(open_client: Any, server: Redis) -> None:
    """A database that the server does not have is no passing fault."""
    with exactly(StorageError, "no database"):
        open_client(server.url.replace("/0", "/999"))("read", KEY)


def test_needless_password(open_client: Any, server: Redis) -> None:
    """A password for a server that has none is no passing fault, and is not told (C23)."""
    with exactly(StorageError, "has no password set") as raised:
        open_client(server.url.replace("//", "//:hunter2@"))("read", KEY)
    assert "hunter2" not in _everything(raised.value)


def test_too_many_clients(open_client: Any, server: Redis) -> None:
    """A server that takes no more clients is asked again later (C20)."""
    before = server("CONFIG", "GET", "maxclients")
    with redis.Redis(host=server.host, port=server.port) as held:
        held.config_set("maxclients", 1)
        try:
            for url in (server.url, server.url.replace("/0", "/3")):
                with exactly(BackendUnavailableError, "too many clients|closed the connection"):
                    open_client(url)("read", KEY)
        finally:
            held.config_set("maxclients", before[1].decode())


def test_standalone_is_no_cluster(open_client: Any, server: Redis) -> None:
    """A URL for a cluster that leads to a lone server says what to write instead."""
    client = open_client(server.url.replace("redis://", "redis+cluster://").removesuffix("/0"))
    with exactly(StorageError, "not in a cluster"):
        client("read", KEY)


def test_wrong_password(open_client: Any, server: Redis) -> None:
    """A wrong password is no passing fault, and is not told (C23)."""
    server("CONFIG", "SET", "requirepass", "right")
    try:
        with exactly(StorageError, "requires a password"):
            open_client(server.url)("read", KEY)
        for login in (":hunter2@", "who:hunter2@"):
            with exactly(StorageError, "rejected the user name") as raised:
                open_client(server.url.replace("//", f"//{login}"))("read", KEY)
            assert "hunter2" not in _everything(raised.value)
        assert open_client(server.url.replace("//", "//:right@"))("read", KEY) is None
    finally:
        redis.Redis(host=server.host, port=server.port, password="right").config_set(
            "requirepass", ""
        )


class Tokens:
    """A credential provider whose tokens expire."""

    def __init__(self) -> None:
        self.token = "first"
        self.asked = 0

    def get_credentials(self) -> tuple[str, str]:
        self.asked += 1
        return "app", self.token


def test_tokens_that_expire(open_client: Any, server: Redis) -> None:
    """Each connection asks the credential provider, so a new token is found by itself."""
    tokens = Tokens()
    server("ACL", "SETUSER", "app", "on", ">first", "~*", "+@all")
    client = open_client(server.url, credential_provider=tokens)
    client("write", KEY, b"1", None)
    assert tokens.asked == 1
    server("ACL", "SETUSER", "app", "<first", ">second")
    server("CLIENT", "KILL", "USER", "app")
    tokens.token = "second"
    time.sleep(0.01)
    assert client("read", KEY) == b"1"
    assert tokens.asked == 2
    server("ACL", "DELUSER", "app")


def test_provider_that_fails(open_client: Any, server: Redis) -> None:
    """What a credential provider raises is a connection that was not made, its text untold."""

    class Broken:
        def get_credentials(self) -> tuple[str, str]:
            raise RuntimeError("hunter2")

    with exactly(BackendUnavailableError, "RuntimeError") as raised:
        open_client(server.url, credential_provider=Broken())("read", KEY)
    assert "hunter2" not in _everything(raised.value)


def test_no_such_host(open_client: Any) -> None:
    """A host without an address can't connect to."""
    with exactly(BackendUnavailableError, "can't connect to"):
        open_client("redis://nowhere.invalid")("read", KEY)
    with exactly(BackendUnavailableError, "can't connect to"):
        open_client("unix:///nowhere.sock")("read", KEY)


def test_unix_socket(open_client: Any, tmp_path: Path) -> None:
    """A unix socket serves like a port."""
    path = tmp_path / "redis.sock"
    with valkey.standalone(unixsocket=str(path)):
        client = open_client(f"unix://{path}?db=2")
        client("write", KEY, b"1", None)
        assert client.keys(SPACE) == ["k"]
        assert client("read", KEY) == b"1"


def test_nothing_secret_in_logs(server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """No value and no password is logged, not even when things fail (C23)."""
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
    shown = _everything(raised.value) + caplog.text + repr(memory)
    assert "swordfish" not in shown
    assert "hunter2" not in shown


def _memory(url: str, timeout: float = 1.0) -> Any:
    config = MemoryConfig(
        backend="redis", connection_url=url, key_prefix="t:refused:", timeout=timeout
    )
    return Workflow("w", config).memory


def _everything(error: BaseException | None) -> str:
    """What a traceback would tell, causes and contexts included."""
    text = ""
    while error is not None:
        text += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    return text
