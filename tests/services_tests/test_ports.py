"""Ports that are handed out once."""

import random

import pytest
from services import ports


@pytest.mark.parametrize("with_bus", [False, True])
def test_claim_leaves_the_ports_that_this_process_holds(
    monkeypatch: pytest.MonkeyPatch, with_bus: bool
) -> None:
    """A claim that meets ports of this process takes another one, and releases none of those."""
    held = ports.claim(with_bus=True)
    others = random.SystemRandom().sample(ports._RANGE, 1_000)
    monkeypatch.setattr(ports.random, "sample", lambda *_: [held, *others])
    claimed = ports.claim(with_bus=with_bus)
    try:
        assert claimed != held
        assert {held, held + ports._BUS} <= set(ports._claims)
    finally:
        ports.release(claimed)
        ports.release(held)


def test_no_server_s_port_is_the_bus_of_another() -> None:
    """Releasing a port releases its bus; that port is never a server's own."""
    assert not {port + ports._BUS for port in ports._RANGE} & set(ports._RANGE)
