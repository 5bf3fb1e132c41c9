"""What the logger ``fibonacci.memory`` reports, at which level; never a value, a key or a user."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    BackendUnavailableError,
    CorruptRecordError,
    DecryptionError,
    MemoryConfig,
    MemoryManager,
    OutcomeUnknownError,
    Workflow,
    register_plugin,
)
from fibonacci._memory import retries
from fibonacci.errors import EncryptionError
from fibonacci.plugin import Address, Space

from .failing_store import FailingStore
from .slow_store import SlowStore

CANARY = "canary-3f9a"


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


@pytest.fixture
def memory(store: FailingStore) -> Iterator[MemoryManager]:
    with Workflow("w", MemoryConfig(store)) as workflow:
        yield workflow.memory


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All records from DEBUG on; none may hold the canary."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert CANARY not in caplog.text


def records(logs: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and message of each record of ``fibonacci.memory``."""
    return [
        (record.levelname, record.getMessage())
        for record in logs.records
        if record.name == "fibonacci.memory"
    ]


@pytest.mark.parametrize(
    ("call", "request_text"),
    [
        (lambda memory: memory.get(CANARY, "user", CANARY), "read of a record in user scope"),
        (lambda memory: memory.set(CANARY, CANARY), "write of a record in workflow scope"),
        (lambda memory: memory.get_many([CANARY, "b"]), "read_many of 2 records"),
        (lambda memory: memory.clear("global"), "clear of global scope"),
    ],
)
def test_retries_are_logged(
    call: Any, request_text: str, store: FailingStore, memory: MemoryManager, logs: Any
):
    """The first retry is logged at INFO, later ones at DEBUG: the request, the error, the wait."""
    method = request_text.split()[0]
    store.fail_next(method, *[BackendUnavailableError("the server is away")] * 2)
    call(memory)
    (first, message), (second, later) = records(logs)
    assert (first, second) == ("INFO", "DEBUG")
    assert message.startswith(f"{request_text} failed, attempt 2 follows in 0.0")
    assert message.endswith(" s: BackendUnavailableError: the server is away")
    assert "attempt 3 follows" in later


def test_each_retry_names_its_own_error(store: FailingStore, memory: MemoryManager, logs: Any):
    """The record of a retry has the error of the attempt before it."""
    store.fail_next("write", OutcomeUnknownError("no reply"), BackendUnavailableError("refused"))
    memory.set("k", 1)
    messages = [message for _, message in records(logs)]
    assert [message.rpartition(" s: ")[2] for message in messages] == [
        "OutcomeUnknownError: no reply",
        "BackendUnavailableError: refused",
    ]


def test_success_is_not_logged(memory: MemoryManager, logs: Any):
    """Requests that succeed in time at the first attempt are not logged."""
    memory.set("k", 1)
    assert memory.get("k") == 1
    assert memory.get_many(["k"]) == {"k": 1}
    assert records(logs) == []


def test_slow_requests_are_logged(
    store: FailingStore, memory: MemoryManager, logs: Any, monkeypatch: pytest.MonkeyPatch
):
    """A request that takes long is logged once at INFO, with its outcome and the seconds."""
    monkeypatch.setattr(retries, "SLOW_REQUEST", 0.1)
    store.latency = 0.15
    store.fail_next("read")
    memory.get(CANARY)
    store.fail_next("remove", OutcomeUnknownError("no reply"))
    with pytest.raises(OutcomeUnknownError):
        memory.delete(CANARY)
    (succeeded, first), (failed, second) = records(logs)
    assert (succeeded, failed) == ("INFO", "INFO")
    assert first.startswith("read of a record in workflow scope took ")
    assert first.endswith(" s and succeeded")
    assert second.startswith("remove of a record in workflow scope took ")
    assert second.endswith(" s and failed")


@pytest.mark.parametrize(("fails", "outcome"), [(False, "succeeded"), (True, "failed")])
def test_slow_retries_are_one_request(
    fails: bool, outcome: str, store: FailingStore, logs: Any, monkeypatch: pytest.MonkeyPatch
):
    """The seconds of a request include its retries."""
    monkeypatch.setattr(retries, "SLOW_REQUEST", 0.1)
    store.latency = 0.06
    store.fail_next("read", *[BackendUnavailableError("away")] * (1_000 if fails else 2))
    with Workflow("w", MemoryConfig(store, timeout=0.2 if fails else 10)) as workflow:
        if fails:
            with pytest.raises(BackendUnavailableError):
                workflow.memory.get("k")
        else:
            workflow.memory.get("k")
    slow = [message for _, message in records(logs) if "took" in message]
    assert len(slow) == 1
    assert slow[0].endswith(f" s and {outcome}")


class BrokenCipher(ToyCipher):
    """A cipher that raises what it likes."""

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        raise ValueError(CANARY)


class Nested(ToyCipher):
    """A cipher that opens a record to another sealed record."""

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        return b"\x80" + CANARY.encode()


@pytest.mark.parametrize(
    ("data", "cipher", "reason"),
    [
        (f'["{CANARY}"'.encode(), None, "it is not valid JSON"),
        (b"\x80" + CANARY.encode(), None, "it is sealed"),
        (b"\x80" + CANARY.encode(), ToyCipher, "it does not open"),
        (f'"{CANARY}"'.encode(), ToyCipher, "it is not sealed"),
        (b"\x80", Nested, "it decrypts to another sealed record"),
        (b"\x80", BrokenCipher, "the encryption plugin failed to open it: ValueError"),
    ],
)
def test_refused_records_are_logged(
    data: bytes, cipher: Any, reason: str, store: FailingStore, logs: Any
):
    """A record that can't be read is logged at INFO, with the reason; the error names its key."""
    store.write(Address(Space("fibonacci:", "user", CANARY), CANARY), data, None, deadline=0)
    options: Any = {"encryption_key": "key", "encrypt_values": True, "encryption": "toy"}

    with register_plugin("encryption", "toy", plugin(lambda settings: cipher(settings.keys))):
        config = MemoryConfig(store, **(options if cipher else {}))
        memory = Workflow("w", config).memory
        with pytest.raises((CorruptRecordError, DecryptionError, EncryptionError)):
            memory.get(CANARY, "user", CANARY)
    assert records(logs) == [("INFO", f"a record in user scope was refused: {reason}")]


def test_overtaken_writers_are_logged(
    slow_store: SlowStore, slow_memory: MemoryManager, logs: pytest.LogCaptureFixture
):
    """A writer that holds up the queue of a record is logged at DEBUG when it is overtaken."""
    reached, released = slow_store.stall_next_cas()
    with ThreadPoolExecutor(2) as threads:
        stuck = threads.submit(slow_memory.increment, CANARY)
        reached.wait(30)
        slow_memory.increment(CANARY)
        released.set()
        stuck.result()
    [(level, message)] = [item for item in records(logs) if "overtaken" in item[1]]
    assert level == "DEBUG"
    assert message.startswith("a writer of a record in workflow scope was overtaken after ")


UNCONFIGURED = """
from fibonacci import CorruptRecordError, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Space
import sys
store = LocalStore()
store.write(Address(Space("fibonacci:", "workflow", "w"), "k"), b"{", None, deadline=0)
try:
    Workflow("w", MemoryConfig(store)).memory.get("k")
except CorruptRecordError:
    pass
logging = sys.modules["logging"]
logging.getLogger("fibonacci.memory").warning("shown")
assert not logging.getLogger().handlers
"""


def test_unconfigured_logging_shows_warnings_only():
    """A program without logging handlers sees warnings on stderr; none is added to root."""
    done = subprocess.run([sys.executable, "-c", UNCONFIGURED], capture_output=True, check=True)
    assert done.stdout + done.stderr.replace(b"\r", b"") == b"shown\n"
