"""A door with TLS before a PostgreSQL that has none."""

import socket
import ssl
import threading
from pathlib import Path

from services import ports

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""What a client asks for before it speaks TLS (protocol 3.0, "SSL Session Encryption")."""


class Door:
    """Takes connections, answers SSLRequest, and passes on what comes through the tunnel.

    Replies are gathered into records of 16 KiB, as other servers than PostgreSQL's own send them.
    """

    def __init__(self, certificate: Path, key: Path, target: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._target = target
        self._listener = socket.create_server((ports.LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        except OSError:
            return  # closed

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((ports.LOOPBACK, self._target)) as server:
            try:
                if client.recv(8) != SSL_REQUEST:
                    return
                client.sendall(b"S")
                with self._context.wrap_socket(client, server_side=True) as tunnel:
                    self._pass_on(tunnel, server)
            except OSError:
                return  # a side has gone

    @staticmethod
    def _pass_on(tunnel: ssl.SSLSocket, server: socket.socket) -> None:
        tunnel.setblocking(False)
        while True:
            try:
                if not (data := tunnel.recv(2**16)):
                    return
                server.sendall(data)
            except ssl.SSLWantReadError:
                ready = _readable(tunnel, server)
                if server in ready:
                    if not (data := server.recv(2**20)):
                        return
                    tunnel.setblocking(True)
                    tunnel.sendall(data)
                    tunnel.setblocking(False)


def _readable(*sockets: socket.socket) -> list[socket.socket]:
    import select

    return select.select(sockets, [], [])[0]
