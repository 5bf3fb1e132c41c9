"""A TCP proxy in front of a server, and the network faults that it applies. Needs no pytest.

with Proxy("127.0.0.1", 6379) as proxy:
    store = connect(proxy.host, proxy.port)
    with proxy.fault(lost_reply(times=1)):
        ...
    with proxy.record() as traffic:
        store.read(address, deadline=deadline)
    assert traffic.round_trips == 1
"""

from fibonacci.testing.network.faults import (
    BlackHole,
    Cut,
    Delay,
    Forget,
    Pass,
    Refuse,
    Reset,
    Trickle,
    lost_reply,
    lost_request,
)
from fibonacci.testing.network.proxy import Proxy
from fibonacci.testing.network.traffic import Exchange, Traffic

__all__ = [
    "BlackHole",
    "Cut",
    "Delay",
    "Exchange",
    "Forget",
    "Pass",
    "Proxy",
    "Refuse",
    "Reset",
    "Traffic",
    "Trickle",
    "lost_reply",
    "lost_request",
]
