"""A proxy's port: it stays the proxy's own while it refuses connections."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_RANGE = range(8_400, 10_240)
"""Below the ports that systems hand out for outgoing connections."""

_used: set[int] = set()
"""Ports that this process has had. A client that is shared by address may outlive its proxy, and
must not meet the next one."""


class Listener:
    """A free port on loopback, reserved until it is closed."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family
        self.host = LOOPBACK[family]
        self.socket = self._bind_free()
        self.port: int = self.socket.getsockname()[1]
        self.listening = False

    def listen(self) -> None:
        """Accept connections."""
        # The connections from before have the port, too: a system asks whether that is wanted.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.listen(128)
        self.socket.setblocking(False)
        self.listening = True

    def refuse(self) -> None:
        """Refuse connections until `listen`."""
        self.listening = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
            # Linux keeps it bound; without the option no other program shares the port.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError:  # other systems shut down no listener
            self.close()
            self.socket = self._bind(self.port, reuse=True)

    def close(self) -> None:
        """Release the port."""
        self.listening = False
        self.socket.close()

    def _bind_free(self) -> socket.socket:
        unused = [port for port in _RANGE if port not in _used] or list(_RANGE)
        for port in random.SystemRandom().sample(unused, len(unused)):
            with suppress(OSError):  # another program's
                bound = self._bind(port, reuse=False)
                _used.add(port)
                return bound
        raise RuntimeError(f"no free port in {_RANGE}")

    def _bind(self, port: int, *, reuse: bool) -> socket.socket:
        bound = socket.socket(self._family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            bound.bind((self.host, port))
        except OSError:
            bound.close()
            raise
        return bound


@contextmanager
def silent_port(host: str) -> Iterator[int]:
    """Provide a port of a loopback address that neither accepts connections nor refuses them."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as sockets:
        full = sockets.enter_context(closing(Listener(family)))
        full.socket.listen(0)
        for _ in range(4):  # more than it keeps waiting; the system ignores those that follow
            client = sockets.enter_context(socket.socket(family))
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect((full.host, full.port))
        yield full.port
