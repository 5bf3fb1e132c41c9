"""How many requests each method sends."""

from math import ceil

import pytest
from services.dynamodb import DynamoDB

from fibonacci import MemoryManager

from .aws_ledger import Ledger
from .conftest import Open


def test_requests_for_one_record(dynamodb_server: DynamoDB, open_memory: Open, ledger: Ledger):
    """A method for one record sends one request; append() reads first, and sends two."""
    memory = open_memory(dynamodb_server.fresh)
    memory.exists("k")
    assert ledger.count(lambda: memory.set("k", [1])) == {"PutItem": 1}
    assert ledger.count(lambda: memory.get("k")) == {"GetItem": 1}
    assert ledger.count(lambda: memory.exists("k")) == {"GetItem": 1}
    assert ledger.count(lambda: memory.ttl("k")) == {"GetItem": 1}
    assert ledger.count(lambda: memory.add("k", 1)) == {"PutItem": 1}
    assert ledger.count(lambda: memory.touch("k", 60)) == {
        "DescribeTimeToLive": 1,  # the first expiry of the process
        "UpdateTimeToLive": 1,  # the first of the table
        "UpdateItem": 1,
    }
    assert ledger.count(lambda: memory.touch("k", 60)) == {"UpdateItem": 1}
    assert ledger.count(lambda: memory.append("k", 2)) == {"GetItem": 1, "UpdateItem": 1}
    assert ledger.count(lambda: memory.append("new", 2)) == {"GetItem": 1, "PutItem": 1}
    assert ledger.count(lambda: memory.delete("k")) == {"DeleteItem": 1}


@pytest.mark.parametrize("number", [1, 25, 26, 100, 101, 260])
def test_requests_for_batches(memory: MemoryManager, ledger: Ledger, number: int):
    """get_many() reads 100 records a request, set_many() writes 25; clear() queries and writes."""
    keys = [f"k{index}" for index in range(number)]
    writes = sum(ceil(min(100, number - start) / 25) for start in range(0, number, 100))
    assert ledger.count(lambda: memory.set_many(dict.fromkeys(keys, 0))) == {
        "BatchWriteItem": writes
    }
    assert ledger.count(lambda: memory.get_many(keys)) == {"BatchGetItem": ceil(number / 100)}
    assert ledger.count(memory.list_keys) == {"Query": 1}
    assert ledger.count(memory.clear) == {"Query": 1, "BatchWriteItem": ceil(number / 25)}
    assert memory.list_keys() == []


def test_listing_reads_a_megabyte_a_request(memory: MemoryManager, ledger: Ledger):
    """list_keys() reads a megabyte of records in each request."""
    text = "x" * 200_000
    memory.set_many({f"k{number:02}": text for number in range(16)})
    found = ledger.count(memory.list_keys)
    assert found["Query"] in (ceil(16 * 200_000 / 2**20), 4, 5)  # moto's pages are a bit shorter


def test_empty_batches_send_nothing(memory: MemoryManager, ledger: Ledger):
    """An empty get_many(), set_many() or delete_many() sends no request."""
    assert ledger.count(lambda: memory.get_many([])) == {}
    assert ledger.count(lambda: memory.set_many({})) == {}
    assert ledger.count(lambda: memory.delete_many([])) == {}
