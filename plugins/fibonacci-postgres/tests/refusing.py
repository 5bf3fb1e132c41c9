"""A server that refuses to be logged in to, in its own words."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOPBACK = "127.0.0.1"


class Refusing:
    """Speaks as much of the protocol as it takes to ask for a password, and to refuse it."""

    def __init__(self, listener: socket.socket, code: str, text: str, severity: str) -> None:
        self.port: int = listener.getsockname()[1]
        self.logins = 0
        self.startups: list[bytes] = []
        fields = {"S": severity, "V": "FATAL", "C": code, "M": text}
        body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
        self._refusal = b"E" + struct.pack("!i", len(body) + 4) + body
        self._listener = listener

    def serve(self) -> None:
        """Refuse one after the other, until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError, struct.error):  # a client may leave
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        while (startup := _body(connection))[:2] != b"\0\3":  # no login: it asks for encryption
            connection.sendall(b"N")
        self.startups.append(startup)
        connection.sendall(b"R" + struct.pack("!ii", 8, 3))  # asks for the password
        connection.recv(1)
        _body(connection)
        self.logins += 1
        connection.sendall(self._refusal)


def _body(connection: socket.socket) -> bytes:
    size = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))[0]
    return connection.recv(size - 4, socket.MSG_WAITALL)


@contextmanager
def refusing(code: str, text: str, severity: str = "FATAL") -> Iterator[Refusing]:
    """Start one."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = Refusing(listener, code, text, severity)
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
