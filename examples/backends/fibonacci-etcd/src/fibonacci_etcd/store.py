"""The store: etcd compares the revision of a key's last change."""

from base64 import b64decode, b64encode
from typing import Any, Final

from fibonacci.errors import ValueTooLargeError
from fibonacci.plugin import (
    ABSENT,
    Absent,
    Address,
    Page,
    Space,
    VersionedRecord,
    VersionedStore,
    is_unexpired,
)
from fibonacci_etcd.gateway import Gateway
from fibonacci_etcd.layout import (
    decode_key,
    encode_key,
    expiry_of,
    lease_for,
    range_end,
    seconds_until,
    space_start,
)

LIMIT: Final = 1_400 * 1024
"""Bytes of a value. etcd takes requests of 1.5 MiB; key and condition need some of them."""


class EtcdStore(VersionedStore[str]):
    """Records in etcd; their version is ``mod_revision``, as the text that JSON has for it."""

    def __init__(self, gateway: Gateway) -> None:
        """Store the gateway; the first request connects."""
        self._gateway = gateway

    def read_record(self, address: Address, *, deadline: float) -> VersionedRecord[str] | None:
        for found in self._range({"key": _text(encode_key(*address))}, deadline).get("kvs", ()):
            return VersionedRecord(
                data=b64decode(found.get("value", "")),  # the gateway leaves out what is empty
                version=found["mod_revision"],
                expires=expiry_of(int(found.get("lease", 0))),
            )
        return None

    def write_if(
        self,
        address: Address,
        version: str | Absent | None,
        data: bytes,
        expires: int | None,
        *,
        deadline: float,
    ) -> bool:
        if len(data) > LIMIT:
            raise ValueTooLargeError(
                f"the value of {address} has {len(data):,} bytes; etcd takes up to {LIMIT:,}",
                size=len(data),
                limit=LIMIT,
            )
        put = {"key": _text(encode_key(*address)), "value": _text(data)}
        if expires is not None:
            put["lease"] = self._lease(expires, deadline)
        return self._change(address, version, {"request_put": put}, deadline)

    def remove_if(self, address: Address, version: str, *, deadline: float) -> bool:
        gone = {"request_delete_range": {"key": _text(encode_key(*address))}}
        return self._change(address, version, gone, deadline)

    def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        start = encode_key(space, prefix)
        # The cursor is the last key seen: the next one is that with a zero byte more.
        first = start if cursor is None else bytes.fromhex(cursor) + b"\0"
        request = {"key": _text(first), "range_end": _text(range_end(start)), "limit": str(limit)}
        response = self._range({**request, "keys_only": True}, deadline)
        found = [(b64decode(one["key"]), one.get("lease", 0)) for one in response.get("kvs", ())]
        keys = [
            decode_key(space, key) for key, lease in found if is_unexpired(expiry_of(int(lease)))
        ]
        next_cursor = found[-1][0].hex() if response.get("more") else None
        return Page([key for key in keys if key is not None], next_cursor)

    def clear(self, space: Space, *, cursor: str | None = None, deadline: float) -> str | None:
        """Remove all keys of the space in one request, while the default needs two for each."""
        start = space_start(space)
        request = {"key": _text(start), "range_end": _text(range_end(start))}
        self._gateway.post("/v3/kv/deleterange", request, deadline=deadline, changes=True)
        return None

    def close(self) -> None:
        self._gateway.close()

    def _range(self, request: dict[str, Any], deadline: float) -> Any:
        return self._gateway.post("/v3/kv/range", request, deadline=deadline, changes=False)

    def _lease(self, expires: int, deadline: float) -> str:
        """Create a lease that ends shortly after the record, which etcd deletes with it."""
        request = {"ID": str(lease_for(expires)), "TTL": str(seconds_until(expires))}
        # It changes no record, and an unused lease ends by itself.
        response = self._gateway.post("/v3/lease/grant", request, deadline=deadline, changes=False)
        return str(response["ID"])

    def _change(
        self, address: Address, version: str | Absent | None, step: dict[str, Any], deadline: float
    ) -> bool:
        request = {"compare": _condition(address, version), "success": [step]}
        response = self._gateway.post("/v3/kv/txn", request, deadline=deadline, changes=True)
        return bool(response.get("succeeded", False))


def _condition(address: Address, version: str | Absent | None) -> list[dict[str, str]]:
    key = _text(encode_key(*address))
    if version is None:
        return []
    if version is ABSENT:
        return [{"key": key, "target": "CREATE", "create_revision": "0"}]
    return [{"key": key, "target": "MOD", "mod_revision": version}]


def _text(data: bytes) -> str:
    return b64encode(data).decode()
