"""The table: made at the first use, once, whoever comes first; or not at all."""

import json
import os
import runpy
import sys
import time
from pathlib import Path

import pytest
from services.dynamodb import Moto

from fibonacci import BackendUnavailableError, StorageError
from fibonacci.testing.threads import run_concurrently
from fibonacci_dynamodb.__main__ import main
from fibonacci_dynamodb.definition import cloudformation, creation, sweep

from .aws_answers import answer, error
from .aws_ledger import Ledger
from .conftest import ADDRESS, Open, OpenStore, name_of, ready, soon, until

STARTS = 20


def test_made_at_first_use(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """The first verb finds no table, makes it, and is done again."""
    url = moto_server.fresh
    memory = open_memory(url)
    found = ledger.count(lambda: memory.set("k", 1))
    assert found == {"PutItem": 2, "CreateTable": 1, "DescribeTable": 1}
    table = moto_server("DescribeTable", TableName=name_of(url))["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == creation("t")["KeySchema"]
    assert ledger.count(lambda: open_memory(url).get("k")) == {"GetItem": 1}


def test_reads_make_it_too(moto_server: Moto, open_memory: Open):
    """Any verb may be the first."""
    assert open_memory(moto_server.fresh).list_keys() == []
    assert open_memory(moto_server.fresh).get_many(["k"]) == {}
    assert open_memory(moto_server.fresh).clear() is True
    assert open_memory(moto_server.fresh).append("k", 1, ttl=60) == 1


def test_expired_records_are_swept(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """The first record that expires has DynamoDB sweep the table, whoever made it."""
    url = moto_server.fresh
    moto_server("CreateTable", **creation(name_of(url)))
    memory = open_memory(url)
    assert ledger.count(lambda: memory.set("k", 1)) == {"PutItem": 1}
    found = ledger.count(lambda: memory.set("k", 1, ttl=60))
    assert found == {"DescribeTimeToLive": 1, "UpdateTimeToLive": 1, "PutItem": 1}
    told = moto_server("DescribeTimeToLive", TableName=name_of(url))["TimeToLiveDescription"]
    assert told == {"AttributeName": "expires_s", "TimeToLiveStatus": "ENABLED"}
    found = ledger.count(lambda: open_memory(url).touch("k", 60))
    assert found == {"DescribeTimeToLive": 1, "UpdateItem": 1}


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_sweep_refused(moto_server: Moto, open_memory: Open, ledger: Ledger, code: str):
    """Who may not look after the sweep can write all the same, and asks once."""
    memory = open_memory(moto_server.fresh)
    ledger.script.add("DescribeTimeToLive", error(code))
    memory.set("k", 1, ttl=60)
    assert ledger.count(lambda: memory.set("k", 1, ttl=60)) == {"PutItem": 1}


def test_sweep_put_off(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """Where it could not be seen to now, the next write does."""
    memory = open_memory(moto_server.fresh)
    memory.exists("k")
    for code in ("ThrottlingException", "ResourceInUseException"):
        ledger.script.add("UpdateTimeToLive", error(code))
        assert ledger.count(lambda: memory.set("k", 1, ttl=60))["PutItem"] == 1
    assert ledger.count(lambda: memory.set("k", 1, ttl=60))["UpdateTimeToLive"] == 1


def test_not_made(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """With create=false a missing table is an error that says what to do; nothing is made."""
    memory = open_memory(f"{moto_server.fresh}&create=false")
    with pytest.raises(StorageError, match="python -m fibonacci_dynamodb"):
        memory.set("k", 1, ttl=60)
    assert [name for name, _ in ledger.requests] == ["PutItem"]


def test_still_being_made(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """A table that takes its time is waited for, until the deadline."""
    creating = answer({"Table": {"TableStatus": "CREATING"}})
    ledger.script.add("DescribeTable", creating, creating)
    memory = open_memory(moto_server.fresh)
    assert ledger.count(lambda: memory.set("k", 1))["DescribeTable"] == 3
    hasty = ready(open_memory(moto_server.fresh, timeout=0.6))
    ledger.script.always("DescribeTable", creating)
    ledger.script.always("PutItem", error("ResourceNotFoundException"))
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="is being made, and was CREATING"):
        hasty.set("k", 1)
    assert time.monotonic() - start < 0.6 + 0.5


def test_made_once_for_all(moto_server: Moto, open_store: OpenStore, ledger: Ledger):
    """Threads that find no table have it made once; each waits until its own deadline."""
    ledger.script.always("DescribeTable", answer({"Table": {"TableStatus": "CREATING"}}))
    ledger.script.always("GetItem", error("ResourceNotFoundException"))
    store = open_store(moto_server.fresh)

    def read(seconds: float) -> None:
        with pytest.raises(BackendUnavailableError, match="is being made"):
            store.read(ADDRESS, deadline=soon(seconds))

    def hasty() -> None:
        until(lambda: "CreateTable" in [name for name, _ in ledger.requests])
        read(0.2)

    run_concurrently([lambda: read(1.5), hasty, hasty])
    assert [name for name, _ in ledger.requests].count("CreateTable") == 1


def test_made_and_not_yet_known(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """DynamoDB may say of a new table that it is not found, a moment long."""
    missing = error("ResourceNotFoundException")
    ledger.script.add("DescribeTable", missing)
    ledger.script.add("PutItem", missing, missing)
    found = ledger.count(lambda: open_memory(moto_server.fresh).set("k", 1))
    assert found == {"PutItem": 3, "CreateTable": 2, "DescribeTable": 2}


def test_may_not_be_made(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """A role that may not make the table is told which rights it takes."""
    ledger.script.always("CreateTable", error("AccessDeniedException"))
    with pytest.raises(StorageError, match="also CreateTable, DescribeTable"):
        open_memory(moto_server.fresh).set("k", 1)


def test_somebody_elses_table(moto_server: Moto, open_memory: Open):
    """A table of another shape is not written to, and told."""
    url = moto_server.fresh
    other = creation(name_of(url))
    other["AttributeDefinitions"] = [{"AttributeName": "id", "AttributeType": "S"}]
    other["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
    moto_server("CreateTable", **other)
    with pytest.raises(StorageError, match="made by somebody else"):
        open_memory(url).set("k", 1)
    with pytest.raises(StorageError, match="made by somebody else"):
        open_memory(url).get("k")


@pytest.mark.bare  # to measure a child takes half a second
@pytest.mark.parametrize(
    ("processes", "starts"), [(6, 1), pytest.param(16, STARTS, marks=pytest.mark.long)]
)
def test_processes_at_once(moto_server: Moto, open_memory: Open, processes: int, starts: int):
    """Processes that find no table make one, together, and lose nothing, at each of the starts."""
    for _ in range(starts):
        cold_start(moto_server.fresh, open_memory, processes)


def cold_start(url: str, open_memory: Open, processes: int) -> None:
    """Start processes at one moment, on a table that is not there."""
    reading, writing = os.pipe()
    children = []
    for number in range(processes):
        if not (child := os.fork()):
            code = 1
            try:
                os.close(writing)
                os.read(reading, 1)  # returns when the parent closes its end
                memory = open_memory(url, timeout=20)
                memory.set(f"k{number}", number, ttl=60)
                memory.append("all", number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(reading)
    os.close(writing)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * processes
    memory = open_memory(url)
    assert sorted(memory.get("all")) == list(range(processes))
    kept = {f"k{number}": number for number in range(processes)}
    assert memory.get_many(kept) == kept


def test_printed_for_cloudformation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The definition is printed as a template, of the table that would be made."""
    monkeypatch.delitem(sys.modules, "fibonacci_dynamodb.__main__")
    monkeypatch.setattr(sys, "argv", ["fibonacci_dynamodb"])
    runpy.run_module("fibonacci_dynamodb", run_name="__main__", alter_sys=True)
    (resource,) = json.loads(capsys.readouterr().out)["Resources"].values()
    assert resource["Type"] == "AWS::DynamoDB::Table"
    assert resource["Properties"] == creation("fibonacci") | sweep("fibonacci")


def test_printed_for_terraform(capsys: pytest.CaptureFixture[str]):
    """The same for Terraform."""
    main(["terraform", "--table", "my-table"])
    printed = capsys.readouterr().out
    assert 'name         = "my-table"' in printed
    assert 'attribute_name = "expires_s"' in printed
    with pytest.raises(SystemExit):
        main(["terraform", "--table", "?"])


def test_printed_in_the_readme():
    """The README shows the definition that is printed."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    shown = readme.partition("```json\n")[2].partition("```")[0]
    assert json.loads(shown) == json.loads(cloudformation("fibonacci"))
