"""Answers that DynamoDB gives under load: work put off, throttles, empty pages."""

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
from .aws_responses import Answer, answer, error, passing
from .conftest import Open, ready

THROTTLES = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TransactionConflictException",
]


def put_off(operation: str, field: str) -> Answer:
    """Put off everything that was asked."""

    def reply(request):
        asked = json.loads(request.body)["RequestItems"]
        return answer({field: asked, "Responses": {}})(request)

    return reply


def put_off_some(number: int) -> Answer:
    """Put off that many of the writes; the others are taken for done."""

    def reply(request):
        ((table, asked),) = json.loads(request.body)["RequestItems"].items()
        return answer({"UnprocessedItems": {table: asked[-number:]}})(request)

    return reply


def test_writes_that_were_put_off(memory: MemoryManager, ledger: Ledger):
    """What a batch left undone is asked again, until all of it is done."""
    later = put_off("BatchWriteItem", "UnprocessedItems")
    ledger.script.add("BatchWriteItem", later, later, passing, later)
    keys = [f"k{number}" for number in range(30)]
    found = ledger.count(lambda: memory.set_many(dict.fromkeys(keys, 0)))
    assert found == {"BatchWriteItem": 5}
    assert memory.list_keys() == sorted(keys)


def test_only_the_rest_is_asked_again(memory: MemoryManager, ledger: Ledger):
    """What was done is not sent a second time."""
    ledger.script.add("BatchWriteItem", put_off_some(2))
    memory.set_many({f"k{number}": 0 for number in range(5)})
    _, (_, body) = ledger.requests[-2:]
    (asked,) = body["RequestItems"].values()
    assert [one["PutRequest"]["Item"]["sk"]["S"] for one in asked] == ["k3", "k4"]
    assert memory.list_keys() == ["k3", "k4"]


def test_reads_that_were_put_off(memory: MemoryManager, ledger: Ledger):
    """A batch of reads is complete, though DynamoDB answered it in parts."""
    memory.set_many({f"k{number}": number for number in range(5)})
    later = put_off("BatchGetItem", "UnprocessedKeys")
    ledger.script.add("BatchGetItem", later, later)
    assert memory.get_many([f"k{number}" for number in range(5)]) == {
        f"k{number}": number for number in range(5)
    }


def test_put_off_for_ever(table_url: str, open_memory: Open, ledger: Ledger):
    """A batch that stays undone ends by its deadline, and is no answer."""
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
def test_throttled(memory: MemoryManager, ledger: Ledger, code: str):
    """A throttled call is made again, inside its deadline."""
    for operation in ("PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "BatchWriteItem"):
        ledger.script.add(operation, error(code), error(code))
    memory.set("k", [1])
    assert memory.append("k", 2) == 2
    assert memory.list_keys() == ["k"]
    assert memory.delete("k") is True
    memory.set_many({"a": 1})
    assert memory.clear() is True


def test_throttled_for_ever(table_url: str, open_memory: Open, ledger: Ledger):
    """A call that is throttled until its deadline surely did nothing."""
    memory = ready(open_memory(table_url, timeout=0.2))
    for operation in ("PutItem", "GetItem", "DeleteItem", "Query", "BatchGetItem"):
        ledger.script.always(operation, error("ThrottlingException"))
    with pytest.raises(BackendUnavailableError, match="ThrottlingException, request REQUEST1"):
        memory.set("k", 2)
    for ask in (memory.delete, memory.get, memory.exists):
        with pytest.raises(BackendUnavailableError):
            ask("k")
    with pytest.raises(BackendUnavailableError):
        memory.list_keys()
    with pytest.raises(BackendUnavailableError):
        memory.get_many(["k"])


def test_throttled_in_the_midst(table_url: str, open_memory: Open, ledger: Ledger):
    """A batch of which a part was done, and then no more, is of unknown outcome."""
    memory = ready(open_memory(table_url, timeout=0.6))
    done = answer({"UnprocessedItems": {}})
    ledger.script.add("BatchWriteItem", done, *[error("ThrottlingException")] * 100)
    with pytest.raises(OutcomeUnknownError, match="25 of 30 records were processed"):
        memory.set_many({f"k{number}": 0 for number in range(30)})


def test_internal_errors(memory: MemoryManager, ledger: Ledger):
    """After an internal error DynamoDB may have done it: only a change that may be repeated is."""
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


def test_empty_pages(memory: MemoryManager, ledger: Ledger):
    """A page with nothing in it is not the end of a listing, nor of a clear."""
    memory.set_many({"a": 1, "b": 2})

    def empty(request):
        body = json.loads(request.body)
        pk = body["ExpressionAttributeValues"][":space"]
        return answer({"Items": [], "LastEvaluatedKey": {"pk": pk, "sk": {"S": "\x01"}}})(request)

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
def test_refused(memory: MemoryManager, ledger: Ledger, code: str, hint: str):
    """What waiting does not mend is told once, with what to do about it, and not asked again."""
    ledger.script.always("PutItem", error(code, message="hunter2"))
    with pytest.raises(StorageError, match=hint) as caught:
        memory.set("k", 1)
    assert type(caught.value) is StorageError
    assert code in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert [name for name, _ in ledger.requests].count("PutItem") == 1


def test_refused_by_something_else(memory: MemoryManager, ledger: Ledger):
    """What stands before DynamoDB, and speaks another language, is told by its status."""
    ledger.script.add("PutItem", answer({}, 403))
    with pytest.raises(StorageError, match=r"\(403, request REQUEST1\)"):
        memory.set("k", 1)
    ledger.script.add("PutItem", answer({}, 429))
    memory.set("k", 1)


def test_too_large_by_the_servers_count(memory: MemoryManager, ledger: Ledger):
    """If DynamoDB counts more than we do, it is told as what it is."""
    message = "Item size has exceeded the maximum allowed size"
    ledger.script.add("PutItem", error("ValidationException", message=message))
    with pytest.raises(ValueTooLargeError):
        memory.set("k", 1)
