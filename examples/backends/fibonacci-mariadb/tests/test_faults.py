"""What the contract's suite can't cause from outside: TLS, permissions, locks, limits."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from certificates import create_certificate
from stores import AsyncStore, SyncStore

from fibonacci import (
    BackendUnavailableError,
    OutcomeUnknownError,
    StorageError,
    ValueTooLargeError,
)
from fibonacci.plugin import ABSENT, Address, Space, encode_parts

SPACE = Space("faults:", "workflow", "w")
RECORD = Address(SPACE, "k")
VALUE = b"value-hunter2"
STATEMENTS = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SET STATEMENT%'"
"""Lists the connections that run a statement of ours."""


@pytest.fixture(params=[SyncStore, AsyncStore], ids=["sync", "async"])
def connect(request):
    """Opens stores of one mode, which are closed after the test."""
    opened = []

    def connect(url, **options):
        opened.append(request.param(url, **options))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


@pytest.fixture
def store(server, connect):
    """A store with one record."""
    store = connect(server.url)
    store("clear", SPACE)
    store("write", RECORD, b"old", None)
    return store


def assert_permanent(error, *words):
    """Assert that core will not retry, and that the message has these words and no secret."""
    assert type(error.value) is StorageError
    for word in words:
        assert word in str(error.value)
    assert error.value.__cause__ is None
    assert "hunter2" not in str(error.value)


@contextmanager
def global_setting(server, name, value):
    """Set a variable of the server, for new connections too."""
    ((old,),) = server.query(f"SELECT @@GLOBAL.{name}")
    server.query(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        server.query(f"SET GLOBAL {name} = {old}")


@contextmanager
def locked(server, address):
    """Lock a record, as another program's transaction does."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        select = "SELECT name FROM fib.fibonacci WHERE name = %s FOR UPDATE"
        assert cursor.execute(select, [address.key.encode()])
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


# TLS


def test_tls(server, connect):
    """With tls_ca the connection is encrypted: a user who needs that can log in."""
    server.query("DROP USER IF EXISTS secure")
    server.create_user("secure", "ALL", "REQUIRE SSL")
    url = server.url_of("secure")
    with pytest.raises(StorageError, match="the user or the password"):
        connect(url)("read", RECORD)
    store = connect(url, tls_ca=str(server.folder / "certificate.pem"))
    store("write", RECORD, bytes(200_000), None)
    assert store("read", RECORD) == bytes(200_000)


def test_untrusted_certificate(server, connect, tmp_path):
    """A certificate of an unknown authority is a permanent error that says so."""
    create_certificate(tmp_path)
    store = connect(server.url, tls_ca=str(tmp_path / "certificate.pem"))
    with pytest.raises(StorageError) as caught:
        store("read", RECORD)
    assert_permanent(caught, "can't be trusted", "self-signed certificate", "tls_ca")


def test_wrong_name(server, connect):
    """A certificate for another name is a permanent error: the driver connects to an address."""
    url = server.url.replace("127.0.0.1", "localhost")
    store = connect(url, tls_ca=str(server.folder / "certificate.pem"))
    with pytest.raises(StorageError) as caught:
        store("read", RECORD)
    assert_permanent(caught, "Hostname mismatch, certificate is not valid for 'localhost'")


def test_no_authority(server, connect, tmp_path):
    """A file without a certificate is a permanent error with its name."""
    store = connect(server.url, tls_ca=str(tmp_path / "none.pem"))
    with pytest.raises(StorageError) as caught:
        store("read", RECORD)
    assert_permanent(caught, "none.pem", "No such file")


# Logins and permissions


def test_wrong_password(server, connect):
    """A wrong password, of any characters, is a permanent error without the password (C23)."""
    store = connect(server.url_of("fib", "hunter2 ä€😀'\"\\"))
    with pytest.raises(StorageError) as caught:
        store("read", RECORD)
    assert_permanent(caught, "the user or the password in the connection URL is wrong")


def test_no_database(server, connect):
    """A database that does not exist is a permanent error."""
    server.query("GRANT ALL ON none.* TO fib")
    store = connect(server.url_of("fib", database="none"))
    with pytest.raises(StorageError) as caught:
        store("read", RECORD)
    assert_permanent(caught, "there is no such database")


def test_no_permission(server, connect, store):
    """A user who may only read gets permanent errors for changes."""
    server.query("DROP USER IF EXISTS reader")
    server.create_user("reader", "SELECT")
    reader = connect(server.url_of("reader"))
    assert reader("read", RECORD) == b"old"
    with pytest.raises(StorageError) as caught:
        reader("write", RECORD, VALUE, None)
    assert_permanent(caught, "the user needs SELECT, INSERT")
    with pytest.raises(StorageError) as caught:
        connect(server.url_of("reader"), table="missing")("read", RECORD)
    assert_permanent(caught, "to create the table, CREATE")


def test_read_only(server, store):
    """A server that is read-only, as a replica is, refuses changes for good."""
    with global_setting(server, "read_only", 1), pytest.raises(StorageError) as caught:
        store("write", RECORD, VALUE, None)
    assert_permanent(caught, "it is read-only")
    assert store("read", RECORD) == b"old"


def test_foreign_table(server, connect, store):
    """A table of another layout is a permanent error, which does not quote the value (C23)."""
    assert store("exists", RECORD)  # so there is a table
    server.query("CREATE OR REPLACE TABLE fib.narrow LIKE fib.fibonacci")
    server.query("ALTER TABLE fib.narrow MODIFY value VARBINARY(3)")
    narrow = connect(server.url, table="narrow")
    with pytest.raises(StorageError) as caught:
        narrow("write", RECORD, VALUE, None)
    assert_permanent(caught, "error 1406")


# Limits


def test_packet(server, connect):
    """A value over the server's limit is refused before the write, with both sizes (C10)."""
    with global_setting(server, "max_allowed_packet", 65536):
        store = connect(server.url)
        with pytest.raises(ValueTooLargeError, match="half of its max_allowed_packet") as caught:
            store("write", RECORD, bytes(40_000), None)
        limit = caught.value.limit
        assert caught.value.size == 40_000
        assert limit is not None
        largest = bytes(limit)
        store("write", RECORD, largest, None)
        assert store("compare_and_set", RECORD, largest, b"1" + largest[1:], 1_000) is True
        with pytest.raises(ValueTooLargeError):
            store("compare_and_set", RECORD, largest, largest + b"1", None)
        with pytest.raises(ValueTooLargeError):
            store("write_many", [(Address(SPACE, "a"), b"1"), (RECORD, largest + b"1")], None)
        assert store("read", Address(SPACE, "a")) is None


def test_batches(server, connect):
    """A batch is split so that each statement fits into a packet (C17)."""
    with global_setting(server, "max_allowed_packet", 65536):
        store = connect(server.url)
        items = [(Address(SPACE, f"k{n}"), b"%02d" % n * 4_000) for n in range(40)]
        store("write_many", items, None)
        assert store("read_many", [at for at, _ in items]) == [data for _, data in items]
        assert store("remove_many", [at for at, _ in items]) == 40


def test_many_records(store):
    """More records than one statement takes are read, written and removed (C14)."""
    items = [(Address(SPACE, f"{n}"), b"%d" % n) for n in range(1_200)]
    store("write_many", items, None)
    assert store("read_many", [at for at, _ in items]) == [data for _, data in items]
    assert store("remove_many", [at for at, _ in items]) == 1_200
    assert store("scan", SPACE).keys == ["k"]


def test_too_many_connections(server, connect):
    """A server without a free connection is unavailable; nothing was written."""
    server.query("ALTER USER fib WITH MAX_USER_CONNECTIONS 1")
    try:
        connect(server.url)("read", RECORD)  # its connection stays open
        with pytest.raises(BackendUnavailableError, match="has reached a limit"):
            connect(server.url)("write", RECORD, VALUE, None)
    finally:
        server.query("ALTER USER fib WITH MAX_USER_CONNECTIONS 0")


# Locks


def test_locked(server, store):
    """A record that another transaction locks is written later, or not at all (C18)."""
    with locked(server, RECORD):
        start = time.monotonic()
        with pytest.raises((BackendUnavailableError, OutcomeUnknownError)):
            store("write", RECORD, b"new", None, seconds=0.3)
        assert time.monotonic() - start < 2
        time.sleep(0.5)  # the server's own limit has ended the statement
    assert store("read", RECORD) == b"old"


def test_lock_wait(server, store):
    """A lock that is not released in the server's time means that nothing was written."""
    with global_setting(server, "innodb_lock_wait_timeout", 1):
        fresh = type(store)(server.url)
        with locked(server, RECORD), pytest.raises(BackendUnavailableError, match="was locked"):
            fresh("compare_and_set", RECORD, b"old", b"new", None)
        fresh.close()
    assert store("read", RECORD) == b"old"


def test_expired_while_waiting(server, store):
    """A record that expires while a compare-and-set waits for its lock is absent (C12)."""
    store("write", RECORD, b"old", 250)
    with locked(server, RECORD):
        results = []
        thread = threading.Thread(
            target=lambda: results.append(store("compare_and_set", RECORD, b"old", b"new", None))
        )
        thread.start()
        time.sleep(0.5)
    thread.join()
    assert results == [False]
    assert store("exists", RECORD) is False


def test_ttl_after_waiting(server, store):
    """A ttl counts from the write, not from the wait for a lock before it (C11)."""
    with locked(server, RECORD):
        thread = threading.Thread(target=lambda: store("write", RECORD, b"new", 60_000))
        thread.start()
        time.sleep(2)
    thread.join()
    assert store("remaining_ttl_ms", RECORD) > 58_500


def test_killed_query(server, store):
    """A statement that an administrator kills was not applied."""
    with locked(server, RECORD):
        errors = []

        def write():
            with pytest.raises(BackendUnavailableError, match="interrupted") as caught:
                store("compare_and_set", RECORD, b"old", b"new", None)
            errors.append(caught.value)

        thread = threading.Thread(target=write)
        thread.start()
        while not (waiting := server.query(STATEMENTS)):
            time.sleep(0.01)
        for (number,) in waiting:
            server.query(f"KILL QUERY {number}")
        thread.join()
    assert len(errors) == 1
    assert store("read", RECORD) == b"old"


# Connections


def test_killed_while_idle(server, store):
    """Connections that the server closed while they were idle are replaced before a change."""
    for (number,) in server.query(
        "SELECT id FROM information_schema.processlist WHERE user = 'fib'"
    ):
        server.query(f"KILL {number}")
    time.sleep(0.1)
    assert store("compare_and_set", RECORD, b"old", b"new", None) is True


def test_cancelled(server, connect):
    """A task that is cancelled during a request leaves no connection to others (C19)."""
    store = connect(server.url)
    if isinstance(store, AsyncStore):
        store("write", RECORD, b"old", None)

        async def main():
            write = store.start("compare_and_set", RECORD, b"old", b"new", None)
            task = asyncio.create_task(write)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with locked(server, RECORD):
            store.run(main())
        for n in range(3):
            store("write", Address(SPACE, f"{n}"), b"%d" % n, None)
            assert store("read", Address(SPACE, f"{n}")) == b"%d" % n


def test_dropped_table(server, connect):
    """A table that was dropped is created again by the next request."""
    store = connect(server.url, table="dropped")
    store("clear", SPACE)
    assert store("compare_and_set", RECORD, ABSENT, b"new", None) is True
    server.query("DROP TABLE fib.dropped")
    assert store("read", RECORD) is None
    assert store("compare_and_set", RECORD, ABSENT, b"new", None) is True


def test_foreign_names(server, store):
    """A name that is not UTF-8 is neither listed nor an error (C1)."""
    space = encode_parts(*SPACE)
    server.query("INSERT INTO fib.fibonacci VALUES (%s, X'61FF', X'31', NULL)", space)
    assert store("scan", SPACE).keys == ["k"]
    assert store("clear", SPACE) is None
    count = "SELECT COUNT(*) FROM fib.fibonacci WHERE space = %s"
    assert server.query(count, space) == ((0,),)
