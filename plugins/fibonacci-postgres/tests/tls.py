"""A TLS terminator that starts TLS as the protocol of PostgreSQL does."""

import socket

from services.tls import TLSTerminator

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)
"""The message with which a client starts TLS (protocol 3.0, "SSL Session Encryption")."""


class PostgresTLS(TLSTerminator):
    """Accepts SSLRequest, and closes connections that start with anything else."""

    def begins(self, client: socket.socket) -> bool:
        if client.recv(8) != SSL_REQUEST:
            return False
        client.sendall(b"S")
        return True
