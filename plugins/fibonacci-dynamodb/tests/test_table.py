"""The table: created by the first call that finds it missing; or not at all."""

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
from fibonacci_dynamodb.schema import (
    cloudformation,
    create_table_request,
    update_ttl_request,
)

from .aws_ledger import Ledger
from .aws_responses import error, respond
from .conftest import ADDRESS, Open, OpenStore, name_of, ready, soon, until

STARTS = 20


def test_first_call_creates_the_table(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """The first call that finds no table creates it, and is sent again."""
    url = moto_server.fresh
    memory = open_memory(url)
    found = ledger.count(lambda: memory.set("k", 1))
    assert found == {"PutItem": 2, "CreateTable": 1, "DescribeTable": 1}
    table = moto_server("DescribeTable", TableName=name_of(url))["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == create_table_request("t")["KeySchema"]
    assert ledger.count(lambda: open_memory(url).get("k")) == {"GetItem": 1}


def test_any_method_creates_the_table(moto_server: Moto, open_memory: Open):
    """Reads, clear() and append() create the table, too."""
    assert open_memory(moto_server.fresh).list_keys() == []
    assert open_memory(moto_server.fresh).get_many(["k"]) == {}
    assert open_memory(moto_server.fresh).clear() is True
    assert open_memory(moto_server.fresh).append("k", 1, ttl=60) == 1


def test_first_ttl_enables_time_to_live(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """The first record with a ttl enables TimeToLive on the table, even on an existing one."""
    url = moto_server.fresh
    moto_server("CreateTable", **create_table_request(name_of(url)))
    memory = open_memory(url)
    assert ledger.count(lambda: memory.set("k", 1)) == {"PutItem": 1}
    found = ledger.count(lambda: memory.set("k", 1, ttl=60))
    assert found == {"DescribeTimeToLive": 1, "UpdateTimeToLive": 1, "PutItem": 1}
    described = moto_server("DescribeTimeToLive", TableName=name_of(url))["TimeToLiveDescription"]
    assert described == {"AttributeName": "expires_s", "TimeToLiveStatus": "ENABLED"}
    found = ledger.count(lambda: open_memory(url).touch("k", 60))
    assert found == {"DescribeTimeToLive": 1, "UpdateItem": 1}


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_time_to_live_permission_is_optional(
    moto_server: Moto, open_memory: Open, ledger: Ledger, code: str
):
    """Without the permission for TimeToLive writes succeed, and it is checked only once."""
    memory = open_memory(moto_server.fresh)
    ledger.script.add("DescribeTimeToLive", error(code))
    memory.set("k", 1, ttl=60)
    assert ledger.count(lambda: memory.set("k", 1, ttl=60)) == {"PutItem": 1}


def test_time_to_live_is_retried_by_the_next_write(
    moto_server: Moto, open_memory: Open, ledger: Ledger
):
    """If TimeToLive can't be enabled now, the next write with a ttl tries again."""
    memory = open_memory(moto_server.fresh)
    memory.exists("k")
    for code in ("ThrottlingException", "ResourceInUseException"):
        ledger.script.add("UpdateTimeToLive", error(code))
        assert ledger.count(lambda: memory.set("k", 1, ttl=60))["PutItem"] == 1
    assert ledger.count(lambda: memory.set("k", 1, ttl=60))["UpdateTimeToLive"] == 1


def test_create_false_raises_for_a_missing_table(
    moto_server: Moto, open_memory: Open, ledger: Ledger
):
    """With create=false a missing table raises StorageError with a fix, and none is created."""
    memory = open_memory(f"{moto_server.fresh}&create=false")
    with pytest.raises(StorageError, match="python -m fibonacci_dynamodb"):
        memory.set("k", 1, ttl=60)
    assert [name for name, _ in ledger.requests] == ["PutItem"]


def test_call_waits_for_a_table_in_creation(moto_server: Moto, open_memory: Open, ledger: Ledger):
    """A call waits for a table in status CREATING, until its deadline."""
    creating = respond({"Table": {"TableStatus": "CREATING"}})
    ledger.script.add("DescribeTable", creating, creating)
    memory = open_memory(moto_server.fresh)
    assert ledger.count(lambda: memory.set("k", 1))["DescribeTable"] == 3
    hasty = ready(open_memory(moto_server.fresh, timeout=0.6))
    ledger.script.always("DescribeTable", creating)
    ledger.script.always("PutItem", error("ResourceNotFoundException"))
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="is being created, and was CREATING"):
        hasty.set("k", 1)
    assert time.monotonic() - start < 0.6 + 0.5


def test_threads_create_the_table_once(moto_server: Moto, open_store: OpenStore, ledger: Ledger):
    """Threads that find no table create it once; each waits until its own deadline."""
    ledger.script.always("DescribeTable", respond({"Table": {"TableStatus": "CREATING"}}))
    ledger.script.always("GetItem", error("ResourceNotFoundException"))
    store = open_store(moto_server.fresh)

    def read(seconds: float) -> None:
        with pytest.raises(BackendUnavailableError, match="is being created"):
            store.read(ADDRESS, deadline=soon(seconds))

    def hasty() -> None:
        until(lambda: "CreateTable" in [name for name, _ in ledger.requests])
        read(0.2)

    run_concurrently([lambda: read(1.5), hasty, hasty])
    assert [name for name, _ in ledger.requests].count("CreateTable") == 1


def test_new_table_may_be_missing_for_a_moment(
    moto_server: Moto, open_memory: Open, ledger: Ledger
):
    """A request to a new table that DynamoDB does not know yet is retried."""
    missing = error("ResourceNotFoundException")
    ledger.script.add("DescribeTable", missing)
    ledger.script.add("PutItem", missing, missing)
    found = ledger.count(lambda: open_memory(moto_server.fresh).set("k", 1))
    assert found == {"PutItem": 3, "CreateTable": 2, "DescribeTable": 2}


def test_missing_create_permission_is_reported(
    moto_server: Moto, open_memory: Open, ledger: Ledger
):
    """Without the permission to create the table, the error names the permissions."""
    ledger.script.always("CreateTable", error("AccessDeniedException"))
    with pytest.raises(StorageError, match="also CreateTable, DescribeTable"):
        open_memory(moto_server.fresh).set("k", 1)


def test_table_with_another_schema_is_refused(moto_server: Moto, open_memory: Open):
    """A table with another key schema raises StorageError, and is not written to."""
    url = moto_server.fresh
    definition = create_table_request(name_of(url))
    definition["AttributeDefinitions"] = [{"AttributeName": "id", "AttributeType": "S"}]
    definition["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
    moto_server("CreateTable", **definition)
    with pytest.raises(StorageError, match="may belong to another application"):
        open_memory(url).set("k", 1)
    with pytest.raises(StorageError, match="may belong to another application"):
        open_memory(url).get("k")


@pytest.mark.bare  # a child's coverage takes half a second
@pytest.mark.parametrize(
    ("processes", "starts"), [(6, 1), pytest.param(16, STARTS, marks=pytest.mark.long)]
)
def test_processes_create_one_table(
    moto_server: Moto, open_memory: Open, processes: int, starts: int
):
    """Processes that find no table create one together, and lose no write."""
    for _ in range(starts):
        cold_start(moto_server.fresh, open_memory, processes)


def cold_start(url: str, open_memory: Open, processes: int) -> None:
    """Start processes at the same moment, with no table."""
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
    expected = {f"k{number}": number for number in range(processes)}
    assert memory.get_many(expected) == expected


def test_cloudformation_template(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """``python -m fibonacci_dynamodb`` prints a CloudFormation template of the same table."""
    monkeypatch.delitem(sys.modules, "fibonacci_dynamodb.__main__")
    monkeypatch.setattr(sys, "argv", ["fibonacci_dynamodb"])
    runpy.run_module("fibonacci_dynamodb", run_name="__main__", alter_sys=True)
    (resource,) = json.loads(capsys.readouterr().out)["Resources"].values()
    assert resource["Type"] == "AWS::DynamoDB::Table"
    assert resource["Properties"] == create_table_request("fibonacci") | update_ttl_request(
        "fibonacci"
    )


def test_terraform_resource(capsys: pytest.CaptureFixture[str]):
    """``python -m fibonacci_dynamodb terraform`` prints a Terraform resource of the same table."""
    main(["terraform", "--table", "my-table"])
    printed = capsys.readouterr().out
    assert 'name         = "my-table"' in printed
    assert 'attribute_name = "expires_s"' in printed
    with pytest.raises(SystemExit):
        main(["terraform", "--table", "?"])
    assert "must be the name of a table" in capsys.readouterr().err


def test_readme_shows_the_printed_definition():
    """The README shows the definition that is printed."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    shown = readme.partition("```json\n")[2].partition("```")[0]
    assert json.loads(shown) == json.loads(cloudformation("fibonacci"))
