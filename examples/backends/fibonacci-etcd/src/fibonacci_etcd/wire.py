"""Requests to the JSON gateway: each ends by its deadline, and a fault says what became of it.

https://etcd.io/docs/latest/dev-guide/api_grpc_gateway/
"""

import json
import select
import socket
from collections import deque
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Any, Final

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin.runtime import resolve

Lost = type[BackendUnavailableError] | type[OutcomeUnknownError]
"""What a lost answer is: of a read nothing was applied, of a change perhaps."""

NOT_FOUND: Final = 5
"""gRPC's code for a lease that is not there; the request was not applied."""

_PASSING: Final = {1, 4, 8, 10, 13, 14}
"""gRPC's codes for what may pass: cancelled, late, exhausted, aborted, internal, unavailable."""


class Gateway:
    """One server's gateway. Connections at rest are in nobody's hands, so threads never share."""

    def __init__(self, host: str, port: int) -> None:
        """Take where it is; the first request connects."""
        self.host, self.port = host, port
        self._idle: deque[_Connection] = deque(maxlen=16)

    def ask(self, path: str, body: dict[str, Any], *, deadline: float, lost: Lost) -> Any:
        """Send a request, and return the answer; raises StorageError, or one of those below it."""
        connection = self._connection(deadline)
        try:
            status, answer = connection.exchange(path, json.dumps(body).encode(), deadline)
            told = json.loads(answer)
        except (OSError, HTTPException, ValueError) as fault:
            connection.close()
            raise lost(f"{self} gave no answer to {path} ({type(fault).__name__})") from fault
        except BaseException:  # interrupted: the answer to this would be taken for the next one's
            connection.close()
            raise
        self._idle.append(connection)  # the oldest of too many is dropped, and closes itself
        if status != 200:
            raise self._refusal(path, status, told, lost)
        return told

    def close(self) -> None:
        """Close the connections at rest."""
        while self._idle:
            self._idle.pop().close()

    def __str__(self) -> str:
        """The server, as error messages name it."""
        return f"etcd at {self.host}:{self.port}"

    def _connection(self, deadline: float) -> "_Connection":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_quiet():
                return connection
            connection.close()
        connection = _Connection(self.host, self.port)
        try:
            connection.open(deadline)
        except OSError as fault:
            raise BackendUnavailableError(
                f"{self} can't be reached ({type(fault).__name__}). Is it up, and is the address "
                f"in the connection URL right?"
            ) from fault
        return connection

    def _refusal(self, path: str, status: int, told: Any, lost: Lost) -> StorageError:
        code = told.get("code") if isinstance(told, dict) else None
        message = f"{self} refused {path}: HTTP {status}, gRPC code {code}"
        if code == NOT_FOUND:
            return BackendUnavailableError(message)
        return lost(message) if code in _PASSING or status >= 500 else StorageError(message)


class _Connection(HTTPConnection):
    """A connection whose requests end by a deadline."""

    sock: "_Socket"

    def open(self, deadline: float) -> None:
        """Connect."""
        fault = OSError("the name has no address")
        for address in resolve(self.host, deadline=deadline):
            self.sock = _Socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            try:
                self.sock.settimeout(_left(deadline))
                self.sock.connect((address, self.port))
            except OSError as refused:
                self.sock.close()
                fault = refused
            else:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return
        raise fault

    def exchange(self, path: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a request, and return the status and the whole body of the answer."""
        self.sock.deadline = deadline
        self.sock.settimeout(_left(deadline))
        self.request("POST", path, body, {"Content-Type": "application/json"})
        with self.getresponse() as response:
            return response.status, response.read()

    def is_quiet(self) -> bool:
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
        self.settimeout(_left(self.deadline))
        return super().recv_into(*args, **named)


def _left(deadline: float) -> float:
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline has passed")
    return seconds
