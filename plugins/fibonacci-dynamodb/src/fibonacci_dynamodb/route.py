"""The way to an endpoint: its address, and the proxy that the environment puts before it."""

import socket
from base64 import b64encode
from http.client import HTTPResponse
from ssl import SSLContext
from typing import cast
from urllib.parse import unquote, urlsplit

import attrs
from botocore.utils import get_environ_proxies

from fibonacci_dynamodb.errand import Errand
from fibonacci_dynamodb.line import Line, LineError, Socket, remaining

Place = tuple[str, int]


@attrs.frozen(kw_only=True)
class Route:
    """One endpoint, and how to connect to it."""

    place: Place
    secure: bool
    proxy: Place | None = None
    proxy_login: str | None = attrs.field(default=None, repr=False)

    @property
    def host(self) -> str:
        """What the header Host says: with the port, unless that goes without saying."""
        usual = self.place[1] == (443 if self.secure else 80)
        return _bracketed(self.place[0]) if usual else self.target

    @property
    def target(self) -> str:
        """The endpoint's address, with the port in any case."""
        return f"{_bracketed(self.place[0])}:{self.place[1]}"

    def dial(self, context: SSLContext | None, deadline: float) -> Line:
        """Connect; what it raises, it raises with nothing of a request sent."""
        line = Line(_connected(self.proxy or self.place, deadline))
        line.deadline = deadline
        try:
            if self.proxy:
                self._through_proxy(line)
            if context:
                line.secure(context, self.place[0])
        except BaseException:
            line.close()
            raise
        return line

    def _through_proxy(self, line: Line) -> None:
        """Have the proxy connect us (RFC 9110, section 9.3.6)."""
        login = f"Proxy-Authorization: Basic {self.proxy_login}\r\n" if self.proxy_login else ""
        request = f"CONNECT {self.target} HTTP/1.1\r\nHost: {self.target}\r\n{login}\r\n"
        line.sendall(request.encode())
        response = HTTPResponse(cast(socket.socket, line), method="CONNECT")
        response.begin()
        if response.status != 200:
            raise LineError(f"the proxy answered CONNECT with {response.status}")


def route_to(url: str) -> Route:
    """Return the way to the endpoint of this URL, as the environment has it."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    place = (parts.hostname or "", parts.port or (443 if secure else 80))
    proxy = urlsplit(get_environ_proxies(url).get(parts.scheme, ""))
    if not proxy.hostname:
        return Route(place=place, secure=secure)
    user, password = unquote(proxy.username or ""), unquote(proxy.password or "")
    login = b64encode(f"{user}:{password}".encode()).decode() if user else None
    before = (proxy.hostname, proxy.port or 80)
    return Route(place=place, secure=secure, proxy=before, proxy_login=login)


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _connected(place: Place, deadline: float) -> socket.socket:
    """Return a socket that is connected to the first of the host's addresses that answers."""
    found = Errand(lambda: socket.getaddrinfo(*place, type=socket.SOCK_STREAM)).wait(deadline)
    fault: OSError = LineError(f"{place[0]} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        sock = Socket(family, kind, protocol)
        try:
            # A share for each, as one that says nothing would leave no time for the next.
            sock.settimeout(remaining(deadline) / (len(found) - tried))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as why:
            sock.close()
            fault = why
        else:
            return sock
    raise fault
