"""The store: each method in one request where DynamoDB has one for it."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from botocore.exceptions import ClientError

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address, KeepTTL, Page, Space, Store
from fibonacci_dynamodb import layout
from fibonacci_dynamodb.batches import read_all, write_all
from fibonacci_dynamodb.settings import Settings
from fibonacci_dynamodb.table import Table

CLEARED_AT_ONCE: Final = 2_500
"""Records that one step of a clear removes, at most: in a hundred requests."""


class DynamoStore(Store):
    """The records of one table. Reads are consistent; conditions make each change one step."""

    clock: Literal["server", "client"] = "client"

    def __init__(self, settings: Settings) -> None:
        self._table = Table(settings)

    def __repr__(self) -> str:
        return f"<DynamoStore: {self._table.where}>"

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return layout.data_of(self._get(address, None, deadline), address)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        self._see_to_sweep(ttl_ms, deadline)
        request = self._to({"Item": layout.item_of(address, data, ttl_ms)})
        self._table.ask("put_item", request, changes=True, deadline=deadline)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        condition = layout.FREE if expected is ABSENT else layout.SAME
        values = {} if expected is ABSENT else {":expected": {"B": expected}}
        if ttl_ms is KEEP_TTL and expected is not ABSENT:
            # A put would replace the expiry, which only DynamoDB knows for sure.
            layout.check_size(address, data)
            request = {"Key": layout.key_of(address), "UpdateExpression": "SET v = :data"}
            values[":data"] = {"B": data}
            return self._change("update_item", request, condition, values, deadline)
        ttl_ms = None if ttl_ms is KEEP_TTL else ttl_ms
        self._see_to_sweep(ttl_ms, deadline)
        request = {"Item": layout.item_of(address, data, ttl_ms)}
        return self._change("put_item", request, condition, values, deadline)

    def remove(self, address: Address, *, deadline: float) -> bool:
        # A condition, not the old item as the answer: that may be 400 KB.
        request = {"Key": layout.key_of(address)}
        return self._change("delete_item", request, layout.PRESENT, {}, deadline)

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        item = self._get(address, f"pk, {layout.EXPIRES}", deadline)
        return ABSENT if item is None else layout.item_ttl_ms(item, address)

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        self._see_to_sweep(ttl_ms, deadline)
        change, values = layout.new_expiry(ttl_ms)
        request = {"Key": layout.key_of(address), "UpdateExpression": change}
        return self._change("update_item", request, layout.PRESENT, values, deadline)

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        return self._page(layout.query(space, prefix, cursor, limit, live=True), space, deadline)

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        request = layout.query(space, "", cursor, CLEARED_AT_ONCE, live=False)
        page = self._page(request, space, deadline)
        gone = [Address(space, key) for key in page.keys]
        requests = [{"DeleteRequest": {"Key": layout.key_of(one)}} for one in gone]
        write_all(self._table, requests, deadline)
        return page.cursor

    def read_many(self, addresses: Sequence[Address], *, deadline: float) -> list[bytes | None]:
        keys = [layout.key_of(address) for address in dict.fromkeys(addresses)]
        found = {
            (item["pk"]["S"], item["sk"]["S"]): item
            for item in read_all(self._table, keys, deadline)
        }
        return [
            layout.data_of(found.get((layout.partition(one.space), one.key)), one)
            for one in addresses
        ]

    def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        self._see_to_sweep(ttl_ms, deadline)
        requests = [
            {"PutRequest": {"Item": layout.item_of(address, data, ttl_ms)}}
            for address, data in dict(items).items()
        ]
        write_all(self._table, requests, deadline)

    def close(self) -> None:
        self._table.close()

    def _get(self, address: Address, attributes: str | None, deadline: float) -> layout.Item | None:
        request: dict[str, Any] = {"Key": layout.key_of(address), "ConsistentRead": True}
        if attributes:
            request["ProjectionExpression"] = attributes
        answer = self._table.ask("get_item", self._to(request), deadline=deadline)
        item: layout.Item | None = answer.get("Item")
        return item

    def _change(
        self,
        operation: str,
        request: dict[str, Any],
        condition: str,
        values: dict[str, Any],
        deadline: float,
    ) -> bool:
        """Change a record if the condition holds; say whether it did."""
        request["ConditionExpression"] = condition
        request["ExpressionAttributeValues"] = {":now": layout.now(), **values}
        try:
            self._table.ask(operation, self._to(request), changes=True, deadline=deadline)
        except ClientError:  # the condition was not met
            return False
        return True

    def _page(self, request: dict[str, Any], space: Space, deadline: float) -> Page:
        answer = self._table.ask("query", self._to(request), deadline=deadline)
        last = answer.get("LastEvaluatedKey")
        return Page(layout.own_keys(answer["Items"], space), last["sk"]["S"] if last else None)

    def _see_to_sweep(self, ttl_ms: int | None, deadline: float) -> None:
        if ttl_ms is not None:
            self._table.see_to_sweep(deadline)

    def _to(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"TableName": self._table.name, **request}
