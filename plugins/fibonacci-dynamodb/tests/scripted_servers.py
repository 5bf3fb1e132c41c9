"""TCP servers that respond as a test says, and a proxy that supports CONNECT."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from services import ports

Serve = Callable[[socket.socket], None]


class ScriptedServer:
    """Serves connections one by one, each until `serve` returns."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._listener = socket.create_server((ports.LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError):  # the client may go
                self._serve(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def request_from(client: socket.socket) -> bytes:
    """Return a whole request, or nothing at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := client.recv(65_536)):
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
    while len(body) < length:
        body += client.recv(65_536)
    return head + b"\r\n\r\n" + body


def responding(reply: bytes, *, once: bool = False) -> Serve:
    """Respond to each request of a connection; with ``once``, close it after the first."""

    def serve(client: socket.socket) -> None:
        while request_from(client):
            client.sendall(reply)
            if once:
                return

    return serve


def recording(seen: list[bytes], reply: bytes) -> Serve:
    """Record each request of a connection, and respond to it."""

    def serve(client: socket.socket) -> None:
        while request := request_from(client):
            seen.append(request)
            client.sendall(reply)

    return serve


def tunnelling(seen: list[bytes], target: int, reply: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Serve:
    """Be a proxy: record each CONNECT request, and connect to the target in any case."""

    def serve(client: socket.socket) -> None:
        seen.append(request_from(client))
        client.sendall(reply)
        with socket.create_connection((ports.LOOPBACK, target)) as server:
            back = threading.Thread(target=_pass_on, args=(server, client))
            back.start()
            _pass_on(client, server)
            back.join()

    return serve


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side may go
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
