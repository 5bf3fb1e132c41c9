"""What the logger ``fibonacci.dynamodb`` reports, at which level."""

import logging
from collections.abc import Callable
from functools import partial

import pytest
from log_messages import CANARY, take_messages, use_canaries
from services.dynamodb import Moto
from services.proxy import Proxy

from fibonacci import CorruptRecordError, MemoryManager
from fibonacci.testing.network import BlackHole, Pass, lost_reply
from fibonacci_dynamodb import transport

from .aws_ledger import Ledger
from .aws_responses import error, respond
from .conftest import ADDRESS, Open, OpenStore, ready, soon
from .test_responses import put_off

Messages = Callable[[str], list[str]]


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Messages:
    """Returns the messages of ``fibonacci.dynamodb`` of one level, and forgets all."""
    caplog.set_level(logging.DEBUG)
    return partial(take_messages, caplog, "fibonacci.dynamodb")


def test_created_tables_are_logged(moto_server: Moto, open_memory: Open, messages: Messages):
    """A table that is created is logged at INFO, and that DynamoDB deletes expired records."""
    memory = open_memory(moto_server.fresh)
    memory.exists("k")
    [created] = messages("INFO")
    memory.set("k", 1, ttl=60)
    [enabled] = messages("INFO")
    assert created.startswith("created table ")
    assert enabled.startswith("DynamoDB deletes expired records of table ")
    memory.set("k", 1, ttl=60)
    assert messages("INFO") == []


def test_refused_time_to_live_is_logged(
    moto_server: Moto, open_memory: Open, ledger: Ledger, messages: Messages
):
    """If TimeToLive can't be enabled, that is logged once at INFO, with the reason."""
    memory = open_memory(moto_server.fresh)
    memory.exists("k")
    messages("INFO")
    ledger.script.add("DescribeTimeToLive", error("AccessDeniedException"))
    memory.set("k", 1, ttl=60)
    memory.set("k", 1, ttl=60)
    [text] = messages("INFO")
    assert text.startswith("TimeToLive of table ")
    assert "was not enabled: DynamoDB refused a request" in text
    assert "AccessDeniedException" in text


def test_time_to_live_of_another_process_is_logged(
    moto_server: Moto, open_memory: Open, ledger: Ledger, messages: Messages
):
    """If DynamoDB refuses to enable TimeToLive, as it is enabled already, the log may say so."""
    memory = open_memory(moto_server.fresh)
    memory.exists("k")
    messages("INFO")
    refusal = error("ValidationException", message="TimeToLive is already enabled")
    ledger.script.add("UpdateTimeToLive", refusal)
    memory.set("k", 1, ttl=60)
    memory.set("k", 1, ttl=60)
    [text] = messages("INFO")
    assert text.startswith("TimeToLive of table ")
    assert text.endswith(
        " was not enabled by this process: not permitted, or another process did it"
    )


@pytest.mark.parametrize(
    ("operation", "field", "call"),
    [
        ("BatchWriteItem", "UnprocessedItems", lambda memory: memory.set_many({"a": 1, "b": 2})),
        ("BatchGetItem", "UnprocessedKeys", lambda memory: memory.get_many(["a", "b"])),
    ],
)
def test_unprocessed_items_are_logged(
    operation: str,
    field: str,
    call: Callable[[MemoryManager], object],
    memory: MemoryManager,
    ledger: Ledger,
    messages: Messages,
):
    """Unprocessed items are logged at INFO when they are first sent again, later at DEBUG."""
    messages("INFO")
    ledger.script.add(operation, *[put_off(operation, field)] * 2)
    call(memory)
    later = messages("DEBUG")
    ledger.script.add(operation, put_off(operation, field))
    call(memory)
    [first] = messages("INFO")
    assert first.startswith("2 items of a batch for table ")
    assert "were not processed, attempt 2 follows in 0.0" in first
    assert any("attempt 3 follows" in text for text in later)


def test_throttling_is_logged(
    memory: MemoryManager, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    """A throttled request is logged by core, with DynamoDB's code."""
    caplog.set_level(logging.INFO)
    ledger.script.add("GetItem", error("ThrottlingException"))
    memory.get("k")
    [record] = caplog.records
    assert (record.name, record.levelname) == ("fibonacci.memory", "INFO")
    assert "read of a record in workflow scope failed, attempt 2" in record.getMessage()
    assert "ThrottlingException" in record.getMessage()


def test_connections_are_logged(
    moto_server: Moto, open_store: OpenStore, messages: Messages, monkeypatch: pytest.MonkeyPatch
):
    """New connections are logged at DEBUG, and so are those that were idle for too long."""
    monkeypatch.setattr(transport, "MAX_IDLE_SECONDS", 0.0)
    store = open_store(moto_server.fresh)
    for _ in range(2):
        store.exists(ADDRESS, deadline=soon())
    found = messages("DEBUG")
    server = f"{moto_server.host}:{moto_server.port}"
    assert f"connected to {server}" in found
    assert any(text.startswith(f"closed a connection to {server} that was idle") for text in found)


@pytest.mark.parametrize("item", [{"v": {"S": "x"}}, {"expires_ms": {"N": "x"}, "v": {"B": ""}}])
def test_refused_records_are_logged(
    item: dict[str, dict[str, str]], memory: MemoryManager, ledger: Ledger, messages: Messages
):
    """A record of another application is logged at INFO, without its key."""
    ledger.script.add("GetItem", respond({"Item": item}))
    with pytest.raises(CorruptRecordError):
        memory.get(CANARY)
    [text] = messages("INFO")
    assert (
        text == "a record in workflow scope was refused: another application wrote its attributes"
    )


@pytest.mark.parametrize("fault", [lost_reply(), BlackHole()], ids=["lost reply", "black hole"])
def test_logs_hold_no_key_or_user(
    fault: Pass,
    moto_server: Moto,
    moto_proxy: Proxy,
    open_memory: Open,
    caplog: pytest.LogCaptureFixture,
):
    """Under faults no log of ours holds a value, a record's key or a user's id."""
    caplog.set_level(logging.DEBUG)
    url = moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
    open_memory(url).exists("k")
    use_canaries(ready(open_memory(url, timeout=0.3)), moto_proxy.fault(fault))
    assert "fibonacci.dynamodb" in {record.name for record in caplog.records}
    assert CANARY not in caplog.text
