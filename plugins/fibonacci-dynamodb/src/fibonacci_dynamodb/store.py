"""The store: each method in one request where DynamoDB has one for it."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

from botocore.exceptions import ClientError

from fibonacci.plugin import ABSENT, KEEP, Absent, Address, Keep, Page, Space, Store
from fibonacci_dynamodb import layout
from fibonacci_dynamodb.batches import read_all, write_all
from fibonacci_dynamodb.settings import Settings
from fibonacci_dynamodb.table import Table

CLEARED_AT_ONCE: Final = 2_500
"""Records that one step of a clear removes, at most: in a hundred requests."""


class DynamoStore(Store):
    """The records of one table. Reads are consistent; conditions make each change one step."""

    clock: ClassVar[Literal["server", "client"]] = "client"

    def __init__(self, settings: Settings) -> None:
        self._table = Table(settings)

    def __repr__(self) -> str:
        return f"<DynamoStore: {self._table.where}>"

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return layout.data_of(self._get(address, None, deadline), address)

    def write(self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float) -> None:
        request = self._put(address, data, ttl_ms, deadline)
        self._table.ask("put_item", changes=True, deadline=deadline, **request)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | Keep | None,
        *,
        deadline: float,
    ) -> bool:
        condition = layout.ABSENT if expected is ABSENT else layout.EQUAL
        values = {} if expected is ABSENT else {":expected": {"B": expected}}
        if ttl_ms is KEEP and expected is not ABSENT:
            # A put would replace the expiry, which only DynamoDB knows for sure.
            layout.check_size(address, data)
            return self._change(
                "update_item",
                deadline,
                condition,
                values | {":data": {"B": data}},
                Key=layout.key_of(address),
                UpdateExpression="SET v = :data",
            )
        request = self._put(address, data, None if ttl_ms is KEEP else ttl_ms, deadline)
        return self._change("put_item", deadline, condition, values, **request)

    def remove(self, address: Address, *, deadline: float) -> bool:
        # A condition, not the old item as the answer: that may be 400 KB.
        return self._change(
            "delete_item", deadline, layout.PRESENT, {}, Key=layout.key_of(address)
        )

    def remaining(self, address: Address, *, deadline: float) -> int | Absent | None:
        item = self._get(address, f"pk, {layout.EXPIRES}", deadline)
        return ABSENT if item is None else layout.remaining(item, address)

    def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        change, values = layout.new_expiry(ttl_ms)
        self._see_to_sweep(ttl_ms, deadline)
        return self._change(
            "update_item",
            deadline,
            layout.PRESENT,
            values,
            Key=layout.key_of(address),
            UpdateExpression=change,
        )

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        live = {"FilterExpression": layout.LIVE}
        return self._query(space, prefix, cursor, limit, deadline, {":now": layout.now()}, **live)

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        page = self._query(space, "", cursor, CLEARED_AT_ONCE, deadline, {})
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
        requests = [
            {"PutRequest": self._put(address, data, ttl_ms, deadline)}
            for address, data in dict(items).items()
        ]
        write_all(self._table, requests, deadline)

    def close(self) -> None:
        self._table.close()

    def _get(self, address: Address, attributes: str | None, deadline: float) -> layout.Item | None:
        some = {"ProjectionExpression": attributes} if attributes else {}
        answer = self._table.ask(
            "get_item", deadline=deadline, Key=layout.key_of(address), ConsistentRead=True, **some
        )
        item: layout.Item | None = answer.get("Item")
        return item

    def _put(
        self, address: Address, data: bytes, ttl_ms: int | None, deadline: float
    ) -> dict[str, Any]:
        layout.check_size(address, data)
        self._see_to_sweep(ttl_ms, deadline)
        return {"Item": layout.item_of(address, data, ttl_ms)}

    def _see_to_sweep(self, ttl_ms: int | None, deadline: float) -> None:
        if ttl_ms is not None:
            self._table.see_to_sweep(deadline)

    def _change(
        self,
        operation: str,
        deadline: float,
        condition: str,
        values: dict[str, Any],
        **request: Any,
    ) -> bool:
        """Change a record if the condition holds; say whether it did."""
        request["ConditionExpression"] = condition
        request["ExpressionAttributeValues"] = {":now": layout.now(), **values}
        try:
            self._table.ask(operation, changes=True, deadline=deadline, **request)
        except ClientError:  # the condition was not met
            return False
        return True

    def _query(
        self,
        space: Space,
        prefix: str,
        cursor: str | None,
        limit: int,
        deadline: float,
        values: dict[str, Any],
        **request: Any,
    ) -> Page:
        """Return the keys of a page of the space, and the key where the next one starts."""
        condition = "pk = :space" + (" AND begins_with(sk, :prefix)" if prefix else "")
        named = {":space": {"S": layout.partition(space)}}
        start = {"ExclusiveStartKey": layout.key_of(Address(space, cursor))} if cursor else {}
        answer = self._table.ask(
            "query",
            deadline=deadline,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=named | ({":prefix": {"S": prefix}} if prefix else {}) | values,
            ProjectionExpression="sk",
            ConsistentRead=True,
            Limit=limit,
            **start,
            **request,
        )
        last = answer.get("LastEvaluatedKey")
        return Page(layout.own_keys(answer["Items"], space), last["sk"]["S"] if last else None)
