"""HTTP connections: how to reach an endpoint, and sockets whose every wait ends by a deadline."""

import io
import select
import socket
import ssl
from contextlib import suppress
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urlsplit

import attrs

from fibonacci.plugin.runtime import raise_for_signal, resolve_host, seconds_left, share_deadline
from fibonacci_dynamodb.environment import HostPort, Proxy, proxy_for

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class TransportError(OSError):
    """A request could not be sent, or no complete, valid response arrived.

    The message says why, and quotes nothing received.
    """


class SelfClosingSocket(socket.socket):
    """A socket that closes without a warning when the last reference to it is gone.

    A signal handler that raises may drop a socket at any moment, even before ``__init__`` ends. So
    it is closed by the socket module's base class, which needs no attributes. gevent's socket has
    no such base class: it wraps a socket, which closes itself.
    """

    def __del__(self) -> None:
        with suppress(AttributeError):
            super(socket.socket, self).close()


class SelfClosingSSLSocket(ssl.SSLSocket):
    """The same with TLS; for ``SSLContext.sslsocket_class``."""

    def __del__(self) -> None:
        with suppress(AttributeError):
            super(socket.socket, self).close()


class Connection:
    """A connected socket, with or without TLS; ``HTTPResponse`` reads from it.

    A socket's own timeout applies to each ``recv``: a response that trickles in would restart it
    with every byte.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0
        """A reading of ``time.monotonic()`` by which each wait ends."""
        self.idle_since = 0.0
        """When the last exchange ended, by the same clock."""

    def sendall(self, data: memoryview) -> None:
        """Send all data. If it raises OSError, the last byte was not sent.

        A traceback shows nothing of a memoryview's content, such as a password.
        """
        unsent = data
        while unsent:
            self._sock.settimeout(seconds_left(self.deadline))
            unsent = unsent[self._sock.send(unsent) :]

    def recv_into(self, buffer: "WriteableBuffer") -> int:
        """Receive what has arrived, or wait for data."""
        self._sock.settimeout(seconds_left(self.deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file to read one response from."""
        return io.BufferedReader(_ConnectionReader(self), 65_536)

    def is_reusable(self) -> bool:
        """Return whether it is open, and nothing has arrived since the last response."""
        if self._sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Continue with TLS."""
        self._sock.settimeout(seconds_left(self.deadline))
        self._sock = context.wrap_socket(self._sock, server_hostname=server_hostname)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class _ConnectionReader(io.RawIOBase):
    """The received bytes as a raw file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._connection.recv_into(buffer)


@attrs.frozen(kw_only=True)
class Endpoint:
    """An HTTP endpoint, and the proxy through which it is reached."""

    address: HostPort
    use_tls: bool
    proxy: Proxy | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the endpoint of this URL, with the proxy that the environment configures for it.

        Raises ConfigurationError if that proxy is not supported.
        """
        parts = urlsplit(url)
        use_tls = parts.scheme == "https"
        address = (parts.hostname or "", parts.port or (443 if use_tls else 80))
        return cls(address=address, use_tls=use_tls, proxy=proxy_for(url))

    @property
    def host_header(self) -> str:
        """The value of the ``Host`` header: with the port, unless it is the default."""
        default_port = 443 if self.use_tls else 80
        is_default = self.address[1] == default_port
        return _bracketed(self.address[0]) if is_default else self.authority

    @property
    def authority(self) -> str:
        """Host and port, always with the port."""
        return f"{_bracketed(self.address[0])}:{self.address[1]}"

    @property
    def request_target(self) -> str:
        """The target in the request line: the whole URL for a proxy that forwards the request.

        RFC 9112, section 3.2.2.
        """
        return f"http://{self.host_header}/" if self.proxy and not self.use_tls else "/"

    @property
    def proxy_header(self) -> str:
        """The header line with the proxy's credentials, in requests that the proxy forwards."""
        return self.proxy.authorization if self.proxy and not self.use_tls else ""

    def connect(self, context: ssl.SSLContext | None, deadline: float) -> Connection:
        """Open a connection; with TLS if there is a context. No part of a request is sent."""
        connection = Connection(
            _open_socket(self.proxy.address if self.proxy else self.address, deadline)
        )
        connection.deadline = deadline
        try:
            if context:
                if self.proxy:
                    self._open_tunnel(self.proxy, connection)
                connection.start_tls(context, self.address[0])
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_tunnel(self, proxy: Proxy, connection: Connection) -> None:
        """Have the proxy connect to the endpoint (RFC 9110, section 9.3.6)."""
        connection.sendall(self._connect_request(proxy))
        response = HTTPResponse(cast(socket.socket, connection), method="CONNECT")
        response.begin()
        if response.status != 200:
            raise TransportError(f"the proxy responded to CONNECT with status {response.status}")

    def _connect_request(self, proxy: Proxy) -> memoryview:
        target = self.authority
        return memoryview(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{proxy.authorization}\r\n".encode()
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _open_socket(address: HostPort, deadline: float) -> socket.socket:
    """Return a socket that is connected to the first of the host's IP addresses that accepts."""
    host, port = address
    ip_addresses = resolve_host(host, deadline=deadline)
    last_error: OSError = TransportError(f"{host} has no IP address")
    for tried, ip_address in enumerate(ip_addresses):
        sock = SelfClosingSocket(socket.AF_INET6 if ":" in ip_address else socket.AF_INET)
        try:
            share = share_deadline(deadline, len(ip_addresses) - tried)
            sock.settimeout(seconds_left(share))
            sock.connect((ip_address, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            raise_for_signal(error)
            last_error = error
        else:
            return sock
    raise last_error
