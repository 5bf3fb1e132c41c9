"""Requests to the JSON gateway: each ends by its deadline, and a fault says what became of it.

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
"""gRPC's code for a lease that is not there; the request was not applied."""

MAX_IDLE: Final = 16
MAX_AGE: Final = 30.0
"""Seconds that a connection rests; what stands between may forget it in silence."""

_PASSING: Final = {1, 4, 8, 10, 13, 14}
"""gRPC's codes for what may pass: cancelled, late, exhausted, aborted, internal, unavailable."""


class Gateway:
    """One server's gateway. Connections at rest are in nobody's hands, so threads never share."""

    def __init__(self, host: str, port: int) -> None:
        """Take where it is; the first request connects."""
        self.host, self.port = host, port
        self._idle = IdlePool[_Connection](max_idle=MAX_IDLE, max_age=MAX_AGE)

    def ask(self, path: str, body: dict[str, Any], *, deadline: float, changes: bool) -> Any:
        """Send a request, and return the answer; ``changes`` says whether it may alter a record.

        Raises StorageError, or one of those below it.
        """
        connection = self._connection(deadline)
        try:
            status, answer = connection.exchange(path, json.dumps(body).encode(), deadline)
            told = json.loads(answer)
        except (OSError, HTTPException, ValueError) as fault:
            connection.close()
            raise_for_signal(fault)
            reason = f"the request to {path} broke off ({type(fault).__name__})"
            raise no_response_error(reason, str(self), maybe_applied=changes) from fault
        except BaseException:  # interrupted: the answer to this would be taken for the next one's
            connection.close()
            raise
        self._idle.push(connection)
        if status != 200:
            raise self._refusal(path, status, told, changes)
        return told

    def close(self) -> None:
        """Close the connections at rest."""
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
        except OSError as fault:
            raise_for_signal(fault)
            raise BackendUnavailableError(
                f"{self} can't be reached ({type(fault).__name__}). Is it up, and is the address "
                f"in the connection URL right?"
            ) from fault
        return connection

    def _refusal(self, path: str, status: int, told: Any, changes: bool) -> StorageError:
        code = told.get("code") if isinstance(told, dict) else None
        message = f"{self} refused {path}: HTTP {status}, gRPC code {code}"
        if code == NOT_FOUND:
            return BackendUnavailableError(message)
        if code not in _PASSING and status < 500:
            return StorageError(message)
        return OutcomeUnknownError(message) if changes else BackendUnavailableError(message)


class _Connection(HTTPConnection):
    """A connection whose requests end by a deadline."""

    sock: "_Socket"
    idle_since = 0.0

    def open(self, deadline: float) -> None:
        """Connect."""
        fault = OSError("the name has no address")
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
                fault = refused
            else:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return
        raise fault

    def exchange(self, path: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a request, and return the status and the whole body of the answer."""
        self.sock.deadline = deadline
        self.sock.settimeout(seconds_left(deadline))
        self.request("POST", path, body, {"Content-Type": "application/json"})
        with self.getresponse() as response:
            return response.status, response.read()

    def is_reusable(self) -> bool:
        """Say whether nothing came while it was at rest: neither bytes nor the other's goodbye."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class _Socket(socket.socket):
    """A socket that waits for each byte no longer than until the deadline."""

    deadline = 0.0

    def __del__(self) -> None:
        # An interrupt strikes between any two lines, also while nobody holds the socket yet.
        self.close()

    def recv_into(self, *args: Any, **named: Any) -> int:
        # A timeout alone would begin anew with each byte that trickles in.
        self.settimeout(seconds_left(self.deadline))
        return super().recv_into(*args, **named)
