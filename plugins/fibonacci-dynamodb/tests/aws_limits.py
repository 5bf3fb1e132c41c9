"""What DynamoDB's documentation allows in a request, checked on what boto3 is about to send.

moto accepts a batch of 26, unused placeholders, duplicate keys and more.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_MOTO = find_spec("moto")  # without an import, which takes a quarter of a second
assert _MOTO, "no wheel moto in this environment"
assert _MOTO.origin
_WORDS = Path(_MOTO.origin).with_name("dynamodb") / "parsing" / "reserved_keywords.txt"

RESERVED = set(_WORDS.read_text().upper().split())
WORDS = {"AND", "OR", "NOT", "SET", "REMOVE", "BEGINS_WITH"} | {
    "ATTRIBUTE_EXISTS",
    "ATTRIBUTE_NOT_EXISTS",
}
EXPRESSIONS = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)

Body = dict[str, Any]


def check(operation: str, body: Body) -> None:
    """Raise AssertionError if DynamoDB would refuse the request, or we must not send it."""
    _check_placeholders(body)
    for key in _keys(body):
        _check_key(key)
    for item in _items(body):
        assert size(item) <= 409_600
    if operation == "BatchGetItem":
        (batch,) = body["RequestItems"].values()
        assert batch["ConsistentRead"] is True
        _check_batch(batch["Keys"], 100)
    if operation == "BatchWriteItem":
        (batch,) = body["RequestItems"].values()
        _check_batch([_written(request) for request in batch], 25)
        assert sum(map(size, _items(body))) <= 16 * 2**20
    if operation in ("GetItem", "Query"):
        assert body["ConsistentRead"] is True
    if operation in ("UpdateItem", "DeleteItem"):
        assert "expires_ms > :now" in body["ConditionExpression"]
    if operation == "Query" and "ExclusiveStartKey" in body:
        values = body["ExpressionAttributeValues"]
        assert body["ExclusiveStartKey"]["pk"] == values[":space"]
        assert body["ExclusiveStartKey"]["sk"]["S"].startswith(
            values.get(":prefix", {"S": ""})["S"]
        )


def size(item: Body) -> int:
    """Return the bytes of an item, as DynamoDB counts them."""
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Body) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return len(b64decode(content, validate=True))
    assert kind == "N"
    digits = content.lstrip("-").replace(".", "").strip("0")
    assert len(digits) <= 38
    return (len(digits) + 1) // 2 + 1


def _check_placeholders(body: Body) -> None:
    text = " ".join(body[name] for name in EXPRESSIONS if name in body)
    assert len(text.encode()) <= 4096
    defined = {
        *body.get("ExpressionAttributeValues", ()),
        *body.get("ExpressionAttributeNames", ()),
    }
    used = set(re.findall(r"[:#]\w+", text))
    assert defined == used, "DynamoDB refuses placeholders that are not used"
    plain = {word.upper() for word in re.findall(r"(?<![:#\w])[A-Za-z]\w*", text)} - WORDS
    assert not plain & RESERVED
    values = body.get("ExpressionAttributeValues", {}).values()
    assert sum(map(_size, values)) <= 2 * 2**20


def _check_batch(keys: list[Body], limit: int) -> None:
    assert 1 <= len(keys) <= limit
    distinct = {(key["pk"]["S"], key["sk"]["S"]) for key in keys}
    assert len(distinct) == len(keys), "DynamoDB refuses a key that comes twice"


def _check_key(key: Body) -> None:
    assert 1 <= len(key["pk"]["S"].encode()) <= 2048
    assert 1 <= len(key["sk"]["S"].encode()) <= 1024


def _written(request: Body) -> Body:
    ((kind, content),) = request.items()
    return content["Item"] if kind == "PutRequest" else content["Key"]


def _items(body: Body) -> Iterator[Body]:
    """Yield the items that the request would store."""
    if "Item" in body:
        yield body["Item"]
    for batch in body.get("RequestItems", {}).values():
        if isinstance(batch, list):
            yield from (
                request["PutRequest"]["Item"] for request in batch if "PutRequest" in request
            )


def _keys(body: Body) -> Iterator[Body]:
    """Yield the primary keys in the request."""
    yield from (body[name] for name in ("Key", "Item", "ExclusiveStartKey") if name in body)
    for batch in body.get("RequestItems", {}).values():
        yield from batch["Keys"] if isinstance(batch, dict) else map(_written, batch)


def body_of(params: Body) -> Body:
    """Return the body of a request, from the parameters of ``before-call``."""
    return json.loads(params["body"])
