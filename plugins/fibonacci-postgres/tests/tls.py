"""TLS before a PostgreSQL that has none, as its protocol begins it."""

import socket

from services.tls import TLSTerminator

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""What a client asks for before it speaks TLS (protocol 3.0, "SSL Session Encryption")."""


class PostgresTLS(TLSTerminator):
    """Answers SSLRequest, and closes connections that begin in any other way."""

    def begins(self, client: socket.socket) -> bool:
        if client.recv(8) != SSL_REQUEST:
            return False
        client.sendall(b"S")
        return True
