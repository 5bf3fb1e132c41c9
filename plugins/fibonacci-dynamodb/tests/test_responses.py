"""Responses that DynamoDB gives under load: unprocessed items, throttling, empty pages."""

import json
import traceback

import pytest

from fibonacci import (
    BackendUnavailableError,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
    ValueTooLargeError,
)

from .aws_ledger import Ledger
from .aws_responses import Responder, error, pass_through, respond
from .conftest import Open, ready

THROTTLES = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TransactionConflictException",
]


def put_off(operation: str, field: str) -> Responder:
    """Leave the whole batch unprocessed."""

    def reply(request):
        requests = json.loads(request.body)["RequestItems"]
        return respond({field: requests, "Responses": {}})(request)

    return reply


def put_off_some(number: int) -> Responder:
    """Leave the last writes unprocessed, and treat the others as done."""

    def reply(request):
        ((table, requests),) = json.loads(request.body)["RequestItems"].items()
        return respond({"UnprocessedItems": {table: requests[-number:]}})(request)

    return reply


def test_unprocessed_writes_are_retried(memory: MemoryManager, ledger: Ledger):
    """Unprocessed items of set_many() are sent again until all are written."""
    later = put_off("BatchWriteItem", "UnprocessedItems")
    ledger.script.add("BatchWriteItem", later, later, pass_through, later)
    keys = [f"k{number}" for number in range(30)]
    found = ledger.count(lambda: memory.set_many(dict.fromkeys(keys, 0)))
    assert found == {"BatchWriteItem": 5}
    assert memory.list_keys() == sorted(keys)


def test_retry_sends_only_unprocessed_writes(memory: MemoryManager, ledger: Ledger):
    """A retry of set_many() sends only the unprocessed items."""
    ledger.script.add("BatchWriteItem", put_off_some(2))
    memory.set_many({f"k{number}": 0 for number in range(5)})
    _, (_, body) = ledger.requests[-2:]
    (requests,) = body["RequestItems"].values()
    assert [request["PutRequest"]["Item"]["sk"]["S"] for request in requests] == ["k3", "k4"]
    assert memory.list_keys() == ["k3", "k4"]


def test_unprocessed_reads_are_retried(memory: MemoryManager, ledger: Ledger):
    """get_many() returns all records, though DynamoDB leaves some keys unprocessed at first."""
    memory.set_many({f"k{number}": number for number in range(5)})
    later = put_off("BatchGetItem", "UnprocessedKeys")
    ledger.script.add("BatchGetItem", later, later)
    assert memory.get_many([f"k{number}" for number in range(5)]) == {
        f"k{number}": number for number in range(5)
    }


def test_unprocessed_keys_of_another_table_are_an_error(memory: MemoryManager, ledger: Ledger):
    """Unprocessed keys that name another table raise StorageError: DynamoDB refuses them."""

    def misnamed(request):
        ((_, batch),) = json.loads(request.body)["RequestItems"].items()
        return respond({"UnprocessedKeys": {"other": batch}})(request)

    ledger.script.add("BatchGetItem", misnamed, error("AccessDeniedException"))
    with pytest.raises(StorageError, match="AccessDeniedException"):
        memory.get_many(["k"])


def test_batch_that_stays_unprocessed_ends_at_deadline(
    table_url: str, open_memory: Open, ledger: Ledger
):
    """A batch that stays unprocessed raises at its deadline, and returns nothing."""
    memory = ready(open_memory(table_url, timeout=0.3))
    ledger.script.always("BatchGetItem", put_off("BatchGetItem", "UnprocessedKeys"))
    with pytest.raises(BackendUnavailableError, match=r"capacity of table .* is exceeded"):
        memory.get_many(["k"])
    ledger.script.always("BatchWriteItem", put_off("BatchWriteItem", "UnprocessedItems"))
    with pytest.raises(BackendUnavailableError):
        memory.set_many({"k": 2})
    ledger.script.always("BatchWriteItem", put_off_some(1))
    with pytest.raises(OutcomeUnknownError, match="of 3 records were processed"):
        memory.set_many({"a": 1, "b": 1, "c": 1})


@pytest.mark.parametrize("code", THROTTLES)
def test_throttled_request_is_retried(memory: MemoryManager, ledger: Ledger, code: str):
    """A throttled request is retried within its deadline."""
    for operation in ("PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "BatchWriteItem"):
        ledger.script.add(operation, error(code), error(code))
    memory.set("k", [1])
    assert memory.append("k", 2) == 2
    assert memory.list_keys() == ["k"]
    assert memory.delete("k") is True
    memory.set_many({"a": 1})
    assert memory.clear() is True


def test_throttled_until_deadline_is_unavailable(table_url: str, open_memory: Open, ledger: Ledger):
    """A request that is throttled until its deadline raises BackendUnavailableError."""
    memory = ready(open_memory(table_url, timeout=0.2))
    for operation in ("PutItem", "GetItem", "DeleteItem", "Query", "BatchGetItem"):
        ledger.script.always(operation, error("ThrottlingException"))
    with pytest.raises(BackendUnavailableError, match="ThrottlingException, request REQUEST1"):
        memory.set("k", 2)
    for method in (memory.delete, memory.get, memory.exists):
        with pytest.raises(BackendUnavailableError):
            method("k")
    with pytest.raises(BackendUnavailableError):
        memory.list_keys()
    with pytest.raises(BackendUnavailableError):
        memory.get_many(["k"])


def test_batch_throttled_halfway_is_unknown(table_url: str, open_memory: Open, ledger: Ledger):
    """A batch that is throttled after some records were written raises OutcomeUnknownError."""
    memory = ready(open_memory(table_url, timeout=0.6))
    done = respond({"UnprocessedItems": {}})
    ledger.script.add("BatchWriteItem", done, *[error("ThrottlingException")] * 100)
    with pytest.raises(OutcomeUnknownError, match="25 of 30 records were processed"):
        memory.set_many({f"k{number}": 0 for number in range(30)})


def test_internal_error_of_a_change_is_unknown(memory: MemoryManager, ledger: Ledger):
    """After HTTP 500 set() is retried; append() and delete() raise OutcomeUnknownError."""
    failure = error("InternalServerError", 500)
    for operation in ("GetItem", "PutItem", "UpdateItem", "DeleteItem"):
        ledger.script.add(operation, failure)
    memory.set("k", [1])
    assert memory.get("k") == [1]
    with pytest.raises(OutcomeUnknownError, match="InternalServerError, request REQUEST1"):
        memory.append("k", 2)
    with pytest.raises(OutcomeUnknownError):
        memory.delete("k")
    assert memory.get("k") == [1]


def test_empty_page_does_not_end_a_listing(memory: MemoryManager, ledger: Ledger):
    """An empty page of a Query ends neither list_keys(), iter_keys() nor clear()."""
    memory.set_many({"a": 1, "b": 2})

    def empty(request):
        body = json.loads(request.body)
        pk = body["ExpressionAttributeValues"][":space"]
        return respond({"Items": [], "LastEvaluatedKey": {"pk": pk, "sk": {"S": "\x01"}}})(request)

    ledger.script.add("Query", empty, empty)
    assert memory.list_keys() == ["a", "b"]
    ledger.script.add("Query", empty)
    assert list(memory.iter_keys()) == ["a", "b"]
    ledger.script.add("Query", empty)
    assert memory.clear() is True
    assert memory.list_keys() == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDeniedException", "needs GetItem, BatchGetItem"),
        ("UnrecognizedClientException", "aws sts get-caller-identity"),
        ("ExpiredTokenException", "aws sts get-caller-identity"),
        ("InvalidSignatureException", "this machine's clock"),
        ("ValidationException", "python -m fibonacci_dynamodb"),
    ],
)
def test_permanent_error_is_not_retried(
    memory: MemoryManager, ledger: Ledger, code: str, hint: str
):
    """A permanent error is raised at once with a hint, and is not retried."""
    ledger.script.always("PutItem", error(code, message="hunter2"))
    with pytest.raises(StorageError, match=hint) as caught:
        memory.set("k", 1)
    assert type(caught.value) is StorageError
    assert code in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert [name for name, _ in ledger.requests].count("PutItem") == 1


def test_error_without_code_reports_status(memory: MemoryManager, ledger: Ledger):
    """An error response without a code of DynamoDB is reported with its HTTP status."""
    ledger.script.add("PutItem", respond({}, 403))
    with pytest.raises(StorageError, match=r"\(403, request REQUEST1\)"):
        memory.set("k", 1)
    ledger.script.add("PutItem", respond({}, 429))
    memory.set("k", 1)


def test_item_size_error_maps_to_value_too_large(memory: MemoryManager, ledger: Ledger):
    """DynamoDB's own error about the item size raises ValueTooLargeError."""
    message = "Item size has exceeded the maximum allowed size"
    ledger.script.add("PutItem", error("ValidationException", message=message))
    with pytest.raises(ValueTooLargeError):
        memory.set("k", 1)
