"""TLS for a server that was built without it: a tunnel's end in front of it."""

import select
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from services import ports
from services.certificates import certificates
from services.proxy import Target


class TLSTerminator:
    """Accepts TLS connections, and passes on their content; a context manager.

    Its url is the server's, with its own port. With `mutual`, clients need a certificate too; with
    `lax`, the server's breaks a rule of VERIFY_X509_STRICT. Records have up to 16 KiB of replies.
    """

    def __init__(
        self, folder: Path, server: Target, *, mutual: bool = False, lax: bool = False
    ) -> None:
        self.port = ports.claim()
        self.url = server.url.replace(f":{server.port}", f":{self.port}", 1)
        self.certificates = certificates(folder, lax=lax)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / "server.pem", folder / "server.key")
        if mutual:
            self._context.load_verify_locations(self.certificates.ca)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._target = (server.host, server.port)
        self._listener = socket.create_server((ports.LOOPBACK, self.port))

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        ports.release(self.port)

    def begins(self, client: socket.socket) -> bool:
        """Return whether the client starts TLS: at once here; a protocol may negotiate first."""
        return True

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):  # a side has gone
            if not self.begins(client):
                return
            with (
                self._context.wrap_socket(client, server_side=True) as tunnel,
                socket.create_connection(self._target) as server,
            ):
                _pass_on(tunnel, server)


def _pass_on(tunnel: ssl.SSLSocket, server: socket.socket) -> None:
    tunnel.setblocking(False)
    while True:
        try:
            if not (data := tunnel.recv(2**16)):
                return
            server.sendall(data)
        except ssl.SSLWantReadError:
            ready, _, _ = select.select([tunnel, server], [], [])
            if server in ready:
                if not (data := server.recv(2**20)):
                    return
                tunnel.setblocking(True)
                tunnel.sendall(data)
                tunnel.setblocking(False)
