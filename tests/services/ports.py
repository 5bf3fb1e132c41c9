"""Free ports on loopback, each handed out once on this machine."""

import random
import socket

LOOPBACK = "127.0.0.1"
# A cluster's bus is port + 10000, which no server of another kind may claim or release, and must
# stay below the ephemeral range (32768).
_RANGE = range(10_240, 20_240)
_BUS = 10_000

# A name in the abstract namespace belongs to one process at a time, and dies with it: no other
# farm on this machine picks a port between our look and our server's bind.
_claims: dict[int, socket.socket] = {}

# A client of a server that has stopped is shared by address, and may live on in garbage: the next
# server must not get its address, and so its client, with the certificates that it trusted.
_claimed: set[int] = set()


def claim(*, with_bus: bool = False) -> int:
    """Return a port that is free, and that this process has not had before; see `release`."""
    for port in random.sample(_RANGE, len(_RANGE)):
        if port in _claimed:
            continue
        wanted = [port, port + _BUS] if with_bus else [port]
        taken = [number for number in wanted if _take(number)]
        if taken == wanted:
            _claimed.add(port)
            return port
        for number in taken:
            _claims.pop(number).close()
    raise RuntimeError(f"no free port in {_RANGE}")


def release(port: int) -> None:
    """Release `port`, and the port of its bus."""
    for number in (port, port + _BUS):
        if holder := _claims.pop(number, None):
            holder.close()


def release_all() -> None:
    """Release all ports of this process."""
    for port in list(_claims):
        release(port)


def _take(port: int) -> bool:
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0fibonacci-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            probe.bind((LOOPBACK, port))
    except OSError:
        holder.close()
        return False
    _claims[port] = holder
    return True
