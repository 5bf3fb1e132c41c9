"""The way to an endpoint: its address, and the proxy that the environment puts before it."""

import socket
from http.client import HTTPResponse
from ssl import SSLContext
from typing import cast
from urllib.parse import urlsplit

import attrs

from fibonacci.plugin.runtime import raise_for_signal, resolve_host, seconds_left, share_deadline
from fibonacci_dynamodb.line import Line, LineError, Socket
from fibonacci_dynamodb.proxies import Place, Proxy, proxy_for


@attrs.frozen(kw_only=True)
class Route:
    """One endpoint, and how to connect to it."""

    place: Place
    secure: bool
    proxy: Proxy | None = None

    @property
    def host(self) -> str:
        """What the header Host says: with the port, unless that goes without saying."""
        usual = self.place[1] == (443 if self.secure else 80)
        return _bracketed(self.place[0]) if usual else self.authority

    @property
    def authority(self) -> str:
        """The endpoint's address, with the port in any case."""
        return f"{_bracketed(self.place[0])}:{self.place[1]}"

    @property
    def target(self) -> str:
        """What a request asks for: of a proxy that passes it on, the whole URL.

        RFC 9112, section 3.2.2.
        """
        return f"http://{self.host}/" if self.proxy and not self.secure else "/"

    @property
    def proxy_login(self) -> str:
        """The header line of a request that tells the proxy who we are, if it is to know."""
        return self.proxy.login if self.proxy and not self.secure else ""

    def dial(self, context: SSLContext | None, deadline: float) -> Line:
        """Connect; what it raises, it raises with nothing of a request sent."""
        line = Line(_connected(self.proxy.place if self.proxy else self.place, deadline))
        line.deadline = deadline
        try:
            if context:
                if self.proxy:
                    self._through(self.proxy, line)
                line.secure(context, self.place[0])
        except BaseException:
            line.close()
            raise
        return line

    def _through(self, proxy: Proxy, line: Line) -> None:
        """Have the proxy connect us (RFC 9110, section 9.3.6)."""
        line.sendall(self._connect_request(proxy))
        response = HTTPResponse(cast(socket.socket, line), method="CONNECT")
        response.begin()
        if response.status != 200:
            raise LineError(f"the proxy answered CONNECT with {response.status}")

    def _connect_request(self, proxy: Proxy) -> memoryview:
        to = self.authority
        return memoryview(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{proxy.login}\r\n".encode())


def route_to(url: str) -> Route:
    """Return the way to the endpoint of this URL, as the environment has it.

    Raises ConfigurationError where that names a proxy that can't be spoken to.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    place = (parts.hostname or "", parts.port or (443 if secure else 80))
    return Route(place=place, secure=secure, proxy=proxy_for(url))


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _connected(place: Place, deadline: float) -> socket.socket:
    """Return a socket that is connected to the first of the host's addresses that answers."""
    found = resolve_host(place[0], deadline=deadline)
    fault: OSError = LineError(f"{place[0]} has no address")
    for tried, address in enumerate(found):
        sock = Socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            share = share_deadline(deadline, len(found) - tried)
            sock.settimeout(seconds_left(share))
            sock.connect((address, place[1]))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as why:
            sock.close()
            raise_for_signal(why)
            fault = why
        else:
            return sock
    raise fault
