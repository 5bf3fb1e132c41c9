"""Requests to the JSON gateway: each ends by its deadline, and errors say their outcome.

https://etcd.io/docs/latest/dev-guide/api_grpc_gateway/
"""

import json
import select
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import (
    IdlePool,
    no_response_error,
    raise_for_signal,
    resolve_host,
    seconds_left,
    share_deadline,
)

NOT_FOUND: Final = 5
"""gRPC's code for an unknown lease; the request was not applied."""

MAX_IDLE: Final = 16
MAX_AGE: Final = 30.0
"""Maximum seconds that a connection is idle: a firewall in between may drop it silently."""

_TRANSIENT: Final = {1, 4, 8, 10, 13, 14}
"""gRPC's codes for transient errors: cancelled, late, exhausted, aborted, internal, unavailable."""


class Gateway:
    """One server's gateway. Threads never share a connection."""

    def __init__(self, host: str, port: int) -> None:
        """Store the address; the first request connects."""
        self.host, self.port = host, port
        self._idle = IdlePool[_Connection](max_idle=MAX_IDLE, max_age=MAX_AGE)

    def post(self, path: str, body: dict[str, Any], *, deadline: float, changes: bool) -> Any:
        """Send a request, and return the response; ``changes``: whether it may change a record.

        Raises StorageError or a subclass.
        """
        connection = self._connection(deadline)
        try:
            status, body_text = connection.exchange(path, json.dumps(body).encode(), deadline)
            reply = json.loads(body_text)
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            raise_for_signal(error)
            reason = f"the request to {path} failed ({type(error).__name__})"
            raise no_response_error(reason, str(self), maybe_applied=changes) from error
        except BaseException:  # interrupted: the next request would read this response
            connection.close()
            raise
        self._idle.push(connection)
        if status != 200:
            raise self._response_error(path, status, reply, changes)
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.clear()

    def __str__(self) -> str:
        """The server, as error messages name it."""
        return f"etcd at {self.host}:{self.port}"

    def _connection(self, deadline: float) -> "_Connection":
        if (idle := self._idle.pop()) is not None:
            return idle
        connection = _Connection(self.host, self.port)
        try:
            connection.open(deadline)
        except OSError as error:
            raise_for_signal(error)
            raise BackendUnavailableError(
                f"{self} is unreachable ({type(error).__name__}). Is it up, and is the address "
                f"in the connection URL right?"
            ) from error
        return connection

    def _response_error(self, path: str, status: int, reply: Any, changes: bool) -> StorageError:
        code = reply.get("code") if isinstance(reply, dict) else None
        message = f"{self} refused {path}: HTTP {status}, gRPC code {code}"
        if code == NOT_FOUND:
            return BackendUnavailableError(message)
        if code not in _TRANSIENT and status < 500:
            return StorageError(message)
        return OutcomeUnknownError(message) if changes else BackendUnavailableError(message)


class _Connection(HTTPConnection):
    """A connection whose requests end by a deadline."""

    sock: "_Socket"
    idle_since = 0.0

    def open(self, deadline: float) -> None:
        """Connect."""
        error = OSError("the name has no address")
        addresses = resolve_host(self.host, deadline=deadline)
        for tried, address in enumerate(addresses):
            self.sock = _Socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            try:
                share = share_deadline(deadline, len(addresses) - tried)
                self.sock.settimeout(seconds_left(share))
                self.sock.connect((address, self.port))
            except OSError as refused:
                self.sock.close()
                raise_for_signal(refused)
                error = refused
            else:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return
        raise error

    def exchange(self, path: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a request, and return the status and the whole body of the response."""
        self.sock.deadline = deadline
        self.sock.settimeout(seconds_left(deadline))
        self.request("POST", path, body, {"Content-Type": "application/json"})
        with self.getresponse() as response:
            return response.status, response.read()

    def is_reusable(self) -> bool:
        """Return whether nothing arrived while it was idle: neither bytes nor an end."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class _Socket(socket.socket):
    """A socket that waits for each byte until the deadline at most."""

    deadline = 0.0

    def __del__(self) -> None:
        # An interrupt may come between any two lines, also before anything holds the socket.
        self.close()

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        # A timeout alone would start again with each byte that arrives.
        self.settimeout(seconds_left(self.deadline))
        return super().recv_into(*args, **kwargs)
