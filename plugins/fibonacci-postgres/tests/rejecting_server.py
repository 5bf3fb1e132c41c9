"""A server that rejects every login, with a SQLSTATE and a message that the test chooses."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOPBACK = "127.0.0.1"


class RejectingServer:
    """Implements the protocol as far as asking for a password and rejecting it."""

    def __init__(self, listener: socket.socket, code: str, text: str, severity: str) -> None:
        self.port: int = listener.getsockname()[1]
        self.logins = 0
        self.startups: list[bytes] = []
        fields = {"S": severity, "V": "FATAL", "C": code, "M": text}
        body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
        self._error_response = b"E" + struct.pack("!i", len(body) + 4) + body
        self._listener = listener

    def serve(self) -> None:
        """Reject connections one after another, until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError, struct.error):  # a client may disconnect
                self._reject(connection)

    def _reject(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        while (startup := _read_body(connection))[:2] != b"\0\3":  # a request for encryption
            connection.sendall(b"N")
        self.startups.append(startup)
        connection.sendall(b"R" + struct.pack("!ii", 8, 3))  # AuthenticationCleartextPassword
        connection.recv(1)
        _read_body(connection)
        self.logins += 1
        connection.sendall(self._error_response)


def _read_body(connection: socket.socket) -> bytes:
    size = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))[0]
    return connection.recv(size - 4, socket.MSG_WAITALL)


@contextmanager
def rejecting_server(code: str, text: str, severity: str = "FATAL") -> Iterator[RejectingServer]:
    """Run a server that rejects every login."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = RejectingServer(listener, code, text, severity)
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
