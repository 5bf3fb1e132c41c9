"""The farm's DynamoDB keeps connections open, and behaves like AWS where tests need it."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from services import dynamodb
from services.dynamodb import REGION, Moto, fresh_table

TABLE = {
    "TableName": "tried",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
}


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    """A server that may be killed."""
    with dynamodb.moto() as server:
        yield server


@pytest.fixture
def table(server: Moto) -> Iterator[Moto]:
    """The server, with a table in it."""
    server("CreateTable", **TABLE)
    yield server
    server("DeleteTable", TableName="tried")


def test_restart(server: Moto):
    """A killed server refuses connections; after `start` the same port replies, without tables."""
    server("CreateTable", **TABLE)
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        server("ListTables")
    assert server.start()("ListTables") == {"TableNames": []}


def test_urls(server: Moto):
    """A fresh URL names an unused table, for a server in the process and for an external one."""
    assert server.fresh != server.fresh
    assert server.fresh.startswith(f"{server.url}&table=fibonacci-test-")
    assert fresh_table("dynamodb://r").startswith("dynamodb://r?table=fibonacci-test-")


def test_connections_are_reused(server: Moto):
    """One connection serves several requests, errors among them."""
    connection = HTTPConnection(server.host, server.port, timeout=10)
    connection.connect()
    kept = connection.sock
    scope = f"test/20250101/{REGION}/dynamodb/aws4_request"
    for operation, status in (("ListTables", 200), ("DescribeTable", 400), ("ListTables", 200)):
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}",
        }
        connection.request("POST", "/", json.dumps({"TableName": "absent"}), headers)
        response = connection.getresponse()
        response.read()
        assert (response.status, connection.sock) == (status, kept)
    connection.close()


def test_conditional_writes_are_atomic(table: Moto):
    """Of many concurrent writes of an item that must not exist, one succeeds."""
    outcomes: list[bool] = []

    def add() -> None:
        try:
            item = {"pk": {"S": "k"}}
            condition = "attribute_not_exists(pk)"
            table("PutItem", TableName="tried", Item=item, ConditionExpression=condition)
            outcomes.append(True)
        except RuntimeError:
            outcomes.append(False)

    threads = [threading.Thread(target=add) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {True: 1, False: 11}


def test_large_items(table: Moto):
    """A binary attribute of 380 KB is stored and updated; one of 410 KB is refused."""
    for size in (380_000, 379_000, 380_000):
        value = {":v": {"B": base64.b64encode(bytes(size)).decode()}}
        table(
            "UpdateItem",
            TableName="tried",
            Key={"pk": {"S": "k"}},
            UpdateExpression="SET v = :v",
            ExpressionAttributeValues=value,
        )
    large = {"pk": {"S": "k"}, "v": {"B": base64.b64encode(bytes(410_000)).decode()}}
    with pytest.raises(RuntimeError, match="size"):
        table("PutItem", TableName="tried", Item=large)
