"""Expiries in Redis."""

from typing import Any

from services.proxy import Proxy

from fibonacci.plugin import Address


def test_touch_sends_at_least_two_milliseconds(
    open_client: Any, address: Address, valkey_proxy: Proxy
) -> None:
    """touch() sends at least 2 ms: PEXPIRE with 1 ms may remove the record at once (C11)."""
    client = open_client(valkey_proxy.url)
    client("write", address, b"1", None)
    for ttl_ms, sent in ((1, b"2"), (2, b"2"), (3, b"3")):
        with valkey_proxy.record() as traffic:
            client("touch", address, ttl_ms)
        assert b":k\r\n$1\r\n" + sent + b"\r\n" in traffic.requests
        client("write", address, b"1", None)
    assert client("remove", address) is True
