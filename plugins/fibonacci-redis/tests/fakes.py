"""Fake servers, which reply what a test sets, and how a test expects an error."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from services import ports

from fibonacci_redis.connection import HELLO

PRIMARY = b"*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
"""A primary's reply to HELLO."""


@contextmanager
def fake_server(get_reply: Callable[[bytes], bytes], hello: bytes = PRIMARY) -> Iterator[int]:
    """Run a server that claims to be a primary, with replies by the function; yields its port."""
    port = ports.claim()
    listener = socket.create_server((ports.LOOPBACK, port))
    listener.settimeout(0.02)
    stopped = threading.Event()

    def serve(client: socket.socket) -> None:
        with client:
            while data := client.recv(65_536):
                request = data.removeprefix(HELLO)
                role = hello if len(request) < len(data) else b""
                client.sendall(role + (get_reply(request) if request else b""))

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            client.settimeout(5)
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield port
    finally:
        stopped.set()
        thread.join()
        listener.close()
        ports.release(port)


def bulk_array(*texts: str) -> bytes:
    """Return an array of these texts in the format of a reply."""
    items = [f"${len(text.encode())}\r\n{text}\r\n" for text in texts]
    return f"*{len(texts)}\r\n{''.join(items)}".encode()


def raises_exactly(kind: type[Exception], message: str) -> Any:
    """Expect an exception of this class, not of a subclass, whose message matches."""
    return pytest.raises(kind, match=message, check=lambda error: type(error) is kind)
