"""Expiries as Redis keeps them."""

from typing import Any

from services.proxy import Proxy

from fibonacci.plugin import Address


def test_touch_for_a_millisecond(open_client: Any, address: Address, valkey_proxy: Proxy) -> None:
    """The shortest life is asked for as two milliseconds: PEXPIRE may end one at once (C11)."""
    client = open_client(valkey_proxy.url)
    client("write", address, b"1", None)
    for asked, sent in ((1, b"2"), (2, b"2"), (3, b"3")):
        with valkey_proxy.record() as traffic:
            client("touch", address, asked)
        assert b":k\r\n$1\r\n" + sent + b"\r\n" in traffic.requests
        client("write", address, b"1", None)
    assert client("remove", address) is True
