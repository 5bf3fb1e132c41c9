"""The store: each method is one request where DynamoDB has one for it."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, KeepTTL, Page, Space, Store
from fibonacci_dynamodb import schema
from fibonacci_dynamodb.settings import Settings
from fibonacci_dynamodb.table import Table

CLEAR_STEP: Final = 2_500
"""Records that one step of ``clear`` removes, at most: in a hundred requests."""


class DynamoStore(Store):
    """The records of one table. Reads are consistent; conditional requests make changes atomic."""

    clock: Literal["server", "client"] = "client"

    def __init__(self, settings: Settings) -> None:
        self._table = Table(settings)

    def __repr__(self) -> str:
        return f"<DynamoStore: {self._table.label}>"

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return schema.get_data(self._get_item(address, None, deadline), address)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self._ensure_ttl_enabled(ttl_ms, deadline)
        request = self._with_table({"Item": schema.create_item(address, data, ttl_ms)})
        self._table.execute("put_item", request, changes=True, deadline=deadline)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        condition = schema.ABSENT_CONDITION if expected is ABSENT else schema.MATCH_CONDITION
        values = {} if expected is ABSENT else {":expected": {"B": expected}}
        if ttl_ms is KEEP_TTL and expected is not ABSENT:
            # PutItem would replace the expiry, which only DynamoDB knows for sure.
            schema.check_size(address, data)
            request = {"Key": schema.primary_key(address), "UpdateExpression": "SET v = :data"}
            values[":data"] = {"B": data}
            return self._execute_if("update_item", request, condition, values, deadline)
        ttl_ms = None if ttl_ms is KEEP_TTL else ttl_ms
        self._ensure_ttl_enabled(ttl_ms, deadline)
        request = {"Item": schema.create_item(address, data, ttl_ms)}
        return self._execute_if("put_item", request, condition, values, deadline)

    def remove(self, address: Address, *, deadline: float) -> bool:
        # A condition, instead of the old item in the response: that may be 400 KB.
        request = {"Key": schema.primary_key(address)}
        return self._execute_if("delete_item", request, schema.PRESENT_CONDITION, {}, deadline)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        item = self._get_item(address, f"pk, {schema.EXPIRY_ATTRIBUTE}", deadline)
        return ABSENT if item is None else schema.item_ttl_ms(item, address)

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        self._ensure_ttl_enabled(ttl_ms, deadline)
        expression, values = schema.expiry_update(ttl_ms)
        request = {"Key": schema.primary_key(address), "UpdateExpression": expression}
        return self._execute_if("update_item", request, schema.PRESENT_CONDITION, values, deadline)

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return self._query(
            schema.query_request(space, prefix, cursor, limit, unexpired_only=True), space, deadline
        )

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        request = schema.query_request(space, "", cursor, CLEAR_STEP, unexpired_only=False)
        page = self._query(request, space, deadline)
        requests = [
            {"DeleteRequest": {"Key": schema.primary_key(Address(space, key))}} for key in page.keys
        ]
        self._table.batch_write(requests, deadline)
        return page.cursor

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        keys = [schema.primary_key(address) for address in dict.fromkeys(addresses)]
        found = {
            (item["pk"]["S"], item["sk"]["S"]): item
            for item in self._table.batch_get(keys, deadline)
        }
        return [
            schema.get_data(found.get((schema.partition_key(address.space), address.key)), address)
            for address in addresses
        ]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        self._ensure_ttl_enabled(ttl_ms, deadline)
        requests = [
            {"PutRequest": {"Item": schema.create_item(address, data, ttl_ms)}}
            for address, data in dict(items).items()
        ]
        self._table.batch_write(requests, deadline)

    def check_size(self, address: Address, data: bytes) -> None:
        schema.check_size(address, data)

    def close(self) -> None:
        self._table.close()

    def _get_item(
        self, address: Address, attributes: str | None, deadline: float
    ) -> schema.Item | None:
        request: dict[str, Any] = {"Key": schema.primary_key(address), "ConsistentRead": True}
        if attributes:
            request["ProjectionExpression"] = attributes
        response = self._table.execute("get_item", self._with_table(request), deadline=deadline)
        item: schema.Item | None = response.get("Item")
        return item

    def _execute_if(
        self,
        operation: str,
        request: dict[str, Any],
        condition: str,
        values: dict[str, Any],
        deadline: float,
    ) -> bool:
        """Change a record if the condition is met; return whether it was."""
        request["ConditionExpression"] = condition
        request["ExpressionAttributeValues"] = {":now": schema.now_value(), **values}
        try:
            self._table.execute(
                operation, self._with_table(request), changes=True, deadline=deadline
            )
        except ClientError:  # the condition was not met
            return False
        return True

    def _query(self, request: dict[str, Any], space: Space, deadline: float) -> Page:
        response = self._table.execute("query", self._with_table(request), deadline=deadline)
        last = response.get("LastEvaluatedKey")
        return Page(schema.valid_keys(response["Items"], space), last["sk"]["S"] if last else None)

    def _ensure_ttl_enabled(self, ttl_ms: int | None, deadline: float) -> None:
        if ttl_ms is not None:
            self._table.ensure_ttl_enabled(deadline)

    def _with_table(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"TableName": self._table.name, **request}
