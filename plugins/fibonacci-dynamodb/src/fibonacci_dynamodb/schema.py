"""The table's schema: its definition, and how a record is stored in it.

============  =======  =====================================================================
``pk``        String   the space: key prefix, scope and owner, separated by spaces
``sk``        String   the key as it is; DynamoDB sorts it by UTF-8, that is by code point
``v``         Binary   the record's bytes
``expires_ms``  Number   its expiry, in milliseconds since 1970; missing if it never expires
``expires_s``   Number   the same in seconds, rounded up: the table's TTL attribute
============  =======  =====================================================================

None of the names is a reserved word of DynamoDB, so expressions need no placeholders for them.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from fibonacci.errors import CorruptRecordError, ValueTooLargeError
from fibonacci.plugin import ABSENT, Absent, Address, Space, parse_address
from fibonacci.plugin.runtime import expires_at_ms, now_ms, remaining_ttl_ms

_log: Final = logging.getLogger("fibonacci.dynamodb")

Item = Mapping[str, Mapping[str, Any]]
"""An item as DynamoDB's API writes it: ``{"sk": {"S": "history"}}``."""

MAX_ITEM_SIZE: Final = 400 * 1024
"""Bytes of an item, names and keys included.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""

EXPIRY_ATTRIBUTE: Final = "expires_ms"
TTL_ATTRIBUTE: Final = "expires_s"

UNEXPIRED_CONDITION: Final = (
    f"(attribute_not_exists({EXPIRY_ATTRIBUTE}) OR {EXPIRY_ATTRIBUTE} > :now)"
)
PRESENT_CONDITION: Final = f"attribute_exists(pk) AND {UNEXPIRED_CONDITION}"
ABSENT_CONDITION: Final = f"attribute_not_exists(pk) OR {EXPIRY_ATTRIBUTE} <= :now"
MATCH_CONDITION: Final = f"v = :expected AND {UNEXPIRED_CONDITION}"

# The attribute names, and numbers of 13 and of 10 digits: a byte for two digits, and one more.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
_NAMES_SIZE: Final = len("pk" + "sk" + "v")
_EXPIRY_SIZE: Final = len(EXPIRY_ATTRIBUTE) + 8 + len(TTL_ATTRIBUTE) + 6


_TERRAFORM: Final = """\
resource "aws_dynamodb_table" "fibonacci" {{
  name         = {name}
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {{
    name = "pk"
    type = "S"
  }}

  attribute {{
    name = "sk"
    type = "S"
  }}

  ttl {{
    attribute_name = "{ttl_attribute}"
    enabled        = true
  }}
}}
"""


def now_value() -> dict[str, str]:
    """Return the time on this machine's clock, as a number of DynamoDB's API."""
    return {"N": str(now_ms())}


def partition_key(space: Space) -> str:
    """Return the space's ``pk``: at most 1,142 of the 2,048 bytes that DynamoDB allows.

    Neither a key prefix nor a scope contains a space character, so no two spaces share a ``pk``.
    """
    return f"{space.prefix} {space.scope} {space.owner}"


def primary_key(address: Address) -> dict[str, Any]:
    """Return the primary key of the record."""
    return {"pk": {"S": partition_key(address.space)}, "sk": {"S": address.key}}


def create_item(address: Address, data: bytes, ttl_ms: int | None) -> dict[str, Any]:
    """Return the record as an item. Raises ValueTooLargeError if it does not fit into one."""
    check_size(address, data)
    return {**primary_key(address), "v": {"B": data}, **expiry_attributes(ttl_ms)}


def expiry_attributes(ttl_ms: int | None) -> dict[str, Any]:
    """Return the expiry attributes of a record that expires ``ttl_ms`` from now."""
    if ttl_ms is None:
        return {}
    expires_ms = expires_at_ms(ttl_ms)
    expires_s = -(-expires_ms // 1000)  # rounded up: DynamoDB deletes no record before its expiry
    return {EXPIRY_ATTRIBUTE: {"N": str(expires_ms)}, TTL_ATTRIBUTE: {"N": str(expires_s)}}


def expiry_update(ttl_ms: int | None) -> tuple[str, dict[str, Any]]:
    """Return the update expression that changes only the expiry, and its values."""
    if ttl_ms is None:
        return f"REMOVE {EXPIRY_ATTRIBUTE}, {TTL_ATTRIBUTE}", {}
    expression = f"SET {EXPIRY_ATTRIBUTE} = :{EXPIRY_ATTRIBUTE}, {TTL_ATTRIBUTE} = :{TTL_ATTRIBUTE}"
    return expression, {f":{name}": value for name, value in expiry_attributes(ttl_ms).items()}


def check_size(address: Address, data: bytes) -> None:
    """Raise ValueTooLargeError if the record does not fit into an item, with an expiry."""
    keys = len(partition_key(address.space).encode()) + len(address.key.encode())
    size = _NAMES_SIZE + _EXPIRY_SIZE + keys + len(data)
    if size > MAX_ITEM_SIZE:
        room = MAX_ITEM_SIZE - (size - len(data))
        raise ValueTooLargeError(
            f"{address} has {len(data):,} bytes; besides the names, a DynamoDB item has room for "
            f"{room:,} of its {MAX_ITEM_SIZE:,}. Store less under one key, or store large data in "
            f"S3, and a link to it here",
            size=len(data),
            limit=room,
        )


def parse_expiry(item: Item, address: Address) -> int | None:
    """Return the item's expiry in milliseconds since 1970, None if it never expires.

    Raises CorruptRecordError if the attribute is not an integer.
    """
    if EXPIRY_ATTRIBUTE not in item:
        return None
    try:
        return int(item[EXPIRY_ATTRIBUTE]["N"])
    except (KeyError, ValueError):
        _log_refused_record(address)
        raise CorruptRecordError(
            f"{address} has an attribute {EXPIRY_ATTRIBUTE} that is not an integer: another "
            f"application wrote it"
        ) from None


def item_ttl_ms(item: Item, address: Address) -> int | Absent | None:
    """Return the milliseconds until the record expires; None if it never does."""
    expires = parse_expiry(item, address)
    if expires is None:
        return None
    return ABSENT if expires <= now_ms() else max(1, remaining_ttl_ms(expires))


def _log_refused_record(address: Address) -> None:
    """Log that a record can't be read. The error names its key, which no log may."""
    scope = address.space.scope
    _log.info("a record in %s scope was refused: another application wrote its attributes", scope)


def get_data(item: Item | None, address: Address) -> bytes | None:
    """Return the bytes of the record; None if there is no unexpired one."""
    if item is None or item_ttl_ms(item, address) is ABSENT:
        return None
    data = item.get("v", {}).get("B")
    if not isinstance(data, bytes):
        _log_refused_record(address)
        raise CorruptRecordError(
            f"{address} has no bytes in its attribute v: another application wrote it"
        )
    return data


def query_request(
    space: Space, prefix: str, cursor: str | None, limit: int, *, unexpired_only: bool
) -> dict[str, Any]:
    """Return the request for a space's sorted keys that have the prefix and follow the cursor."""
    condition, values = "pk = :space", {":space": {"S": partition_key(space)}}
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
    if unexpired_only:
        request["FilterExpression"] = UNEXPIRED_CONDITION
        values[":now"] = now_value()
    if cursor is not None:
        request["ExclusiveStartKey"] = primary_key(Address(space, cursor))
    return request


def valid_keys(items: list[Item], space: Space) -> list[str]:
    """Return the keys of the items that are records of this package."""
    keys = [item["sk"]["S"] for item in items]
    return [key for key in keys if parse_address(Address(space, key).text)]


def create_table_request(table: str) -> dict[str, Any]:
    """Return the request for CreateTable."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    }


def update_ttl_request(table: str) -> dict[str, Any]:
    """Return the request for UpdateTimeToLive: DynamoDB deletes expired records, within days."""
    return {
        "TableName": table,
        "TimeToLiveSpecification": {"AttributeName": TTL_ATTRIBUTE, "Enabled": True},
    }


def cloudformation(table: str) -> str:
    """Return a CloudFormation template with the table in it, as JSON."""
    properties = create_table_request(table) | update_ttl_request(table)
    resource = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {"FibonacciTable": resource},
    }
    return json.dumps(template, indent=2) + "\n"


def terraform(table: str) -> str:
    """Return the table as a Terraform resource."""
    return _TERRAFORM.format(name=json.dumps(table), ttl_attribute=TTL_ATTRIBUTE)


FORMATS: Final = {"cloudformation": cloudformation, "terraform": terraform}
"""The formats in which the definition can be printed."""
