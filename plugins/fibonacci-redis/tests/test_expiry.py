"""Expiries as Redis keeps them."""

from typing import Any

from services.proxy import Proxy

from fibonacci.plugin import Address


def test_touch_for_a_millisecond(opening: Any, address: Address, valkey_proxy: Proxy) -> None:
    """The shortest life is asked for as two milliseconds: PEXPIRE may end one at once (C11)."""
    ask = opening(valkey_proxy.url)
    ask("write", address, b"1", None)
    for asked, sent in ((1, b"2"), (2, b"2"), (3, b"3")):
        with valkey_proxy.record() as traffic:
            ask("touch", address, asked)
        assert b":k\r\n$1\r\n" + sent + b"\r\n" in traffic.requests
        ask("write", address, b"1", None)
    assert ask("remove", address) is True
