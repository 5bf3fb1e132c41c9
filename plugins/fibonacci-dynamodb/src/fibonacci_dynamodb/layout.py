"""How a record lies in the table: its attributes, its size, and the conditions on it.

============  =======  =====================================================================
``pk``        String   the space: key prefix, scope and owner, with a blank between them
``sk``        String   the key as it is; DynamoDB sorts it by UTF-8, so by code point
``v``         Binary   the record's bytes
``expires_ms``  Number   when it is gone, in milliseconds since 1970; missing if it stays
``expires_s``   Number   the same in seconds, rounded up: DynamoDB's own sweep goes by it
============  =======  =====================================================================

The names are none of DynamoDB's reserved words, so expressions need no placeholders for them.
"""

from collections.abc import Mapping
from typing import Any, Final

from fibonacci.errors import CorruptRecordError, ValueTooLargeError
from fibonacci.plugin import ABSENT, Absent, Address, Space, parse_address
from fibonacci.plugin.runtime import expires_at_ms, now_ms, remaining_ttl_ms

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB's API writes it: ``{"sk": {"S": "history"}}``."""

ITEM_LIMIT: Final = 400 * 1024
"""Bytes of an item, names and keys included.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""

EXPIRES: Final = "expires_ms"
SWEPT: Final = "expires_s"

LIVE: Final = f"(attribute_not_exists({EXPIRES}) OR {EXPIRES} > :now)"
PRESENT: Final = f"attribute_exists(pk) AND {LIVE}"
FREE: Final = f"attribute_not_exists(pk) OR {EXPIRES} <= :now"
SAME: Final = f"v = :expected AND {LIVE}"

# Names, and a number of 13 digits and one of 10: a byte for two digits and one more.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
_NAMES_SIZE: Final = len("pk" + "sk" + "v")
_EXPIRY_SIZE: Final = len(EXPIRES) + 8 + len(SWEPT) + 6


def now() -> dict[str, str]:
    """Return the time on this machine's clock, as DynamoDB's API writes it."""
    return {"N": str(now_ms())}


def partition(space: Space) -> str:
    """Return the space's ``pk``: at most 1,142 of the 2,048 bytes that DynamoDB allows.

    Neither a key prefix nor a scope has a blank in it, so no two spaces share a ``pk``.
    """
    return f"{space.prefix} {space.scope} {space.owner}"


def key_of(address: Address) -> dict[str, Any]:
    """Return the primary key of the record."""
    return {"pk": {"S": partition(address.space)}, "sk": {"S": address.key}}


def item_of(address: Address, data: bytes, ttl_ms: int | None) -> dict[str, Any]:
    """Return the item that is this record; ValueTooLargeError if it would not fit into one."""
    check_size(address, data)
    return {**key_of(address), "v": {"B": data}, **expiry(ttl_ms)}


def expiry(ttl_ms: int | None) -> dict[str, Any]:
    """Return the attributes that say when a record is gone that lives for so long from now."""
    if ttl_ms is None:
        return {}
    expires_ms = expires_at_ms(ttl_ms)
    # In whole seconds rounded up: DynamoDB drops nothing in a second in which it is live.
    return {EXPIRES: {"N": str(expires_ms)}, SWEPT: {"N": str(-(-expires_ms // 1000))}}


def new_expiry(ttl_ms: int | None) -> tuple[str, dict[str, Any]]:
    """Return the update that gives a record an expiry and leaves its bytes, and its values."""
    if ttl_ms is None:
        return f"REMOVE {EXPIRES}, {SWEPT}", {}
    change = f"SET {EXPIRES} = :{EXPIRES}, {SWEPT} = :{SWEPT}"
    return change, {f":{name}": value for name, value in expiry(ttl_ms).items()}


def check_size(address: Address, data: bytes) -> None:
    """Raise ValueTooLargeError if the record would not fit into an item, with an expiry."""
    names = len(partition(address.space).encode()) + len(address.key.encode())
    size = _NAMES_SIZE + _EXPIRY_SIZE + names + len(data)
    if size > ITEM_LIMIT:
        room = ITEM_LIMIT - (size - len(data))
        raise ValueTooLargeError(
            f"{address} has {len(data):,} bytes; beside its names, a DynamoDB item has room for "
            f"{room:,} of its {ITEM_LIMIT:,}. Store less under one key; keep what is large in S3, "
            f"and a link to it here",
            size=len(data),
            limit=room,
        )


def expires_of(item: Item, address: Address) -> int | None:
    """Return the item's expiry; CorruptRecordError if it is none."""
    if EXPIRES not in item:
        return None
    try:
        return int(item[EXPIRES]["N"])
    except (KeyError, ValueError):
        raise CorruptRecordError(
            f"{address} has an attribute {EXPIRES} that is no whole number: somebody else wrote it"
        ) from None


def item_ttl_ms(item: Item, address: Address) -> int | Absent | None:
    """Return the milliseconds that the record has left; None if it stays."""
    expires = expires_of(item, address)
    if expires is None:
        return None
    return ABSENT if expires <= now_ms() else max(1, remaining_ttl_ms(expires))


def data_of(item: Item | None, address: Address) -> bytes | None:
    """Return the bytes of the record if there is a live one."""
    if item is None or item_ttl_ms(item, address) is ABSENT:
        return None
    data = item.get("v", {}).get("B")
    if not isinstance(data, bytes):
        raise CorruptRecordError(
            f"{address} has no bytes in its attribute v: somebody else wrote it"
        )
    return data


def query(
    space: Space, prefix: str, cursor: str | None, limit: int, *, live: bool
) -> dict[str, Any]:
    """Return the request for a space's keys that start so, in order, and come after the cursor."""
    condition, values = "pk = :space", {":space": {"S": partition(space)}}
    if prefix:
        condition += " AND begins_with(sk, :prefix)"
        values[":prefix"] = {"S": prefix}
    request: dict[str, Any] = {
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ProjectionExpression": "sk",
        "ConsistentRead": True,
        "Limit": limit,
    }
    if live:
        request["FilterExpression"] = LIVE
        values[":now"] = now()
    if cursor is not None:
        request["ExclusiveStartKey"] = key_of(Address(space, cursor))
    return request


def own_keys(items: list[Item], space: Space) -> list[str]:
    """Return the keys of those items that are records of ours."""
    keys = [item["sk"]["S"] for item in items]
    return [key for key in keys if parse_address(Address(space, key).text)]
