"""Ports that are handed out once."""

import random

import pytest
from services import ports


@pytest.mark.parametrize("released", [False, True])
def test_port_is_claimed_once(monkeypatch: pytest.MonkeyPatch, released: bool) -> None:
    """A port that this process has, or has had, is not claimed again."""
    first = ports.claim(with_bus=True)
    if released:
        ports.release(first)
    others = random.SystemRandom().sample(ports._RANGE, 1_000)
    monkeypatch.setattr(ports.random, "sample", lambda *_: [first, *others])
    second = ports.claim(with_bus=True)
    try:
        assert second != first
        assert ({first, first + ports._BUS} <= set(ports._claims)) is not released
    finally:
        ports.release(second)
        ports.release(first)


def test_no_server_s_port_is_the_bus_of_another() -> None:
    """Releasing a port releases its bus; that port is never a server's own."""
    assert not {port + ports._BUS for port in ports._RANGE} & set(ports._RANGE)
