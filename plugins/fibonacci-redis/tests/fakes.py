"""Servers that are none: they answer what a test has them answer."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services import ports

from fibonacci_redis.connection import HELLO

PRIMARY = b"*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
"""What a primary says to HELLO."""


@contextmanager
def answering(answer: Callable[[bytes], bytes], hello: bytes = PRIMARY) -> Iterator[int]:
    """A server that says it is a primary, and gives these bytes for those; its port."""
    port = ports.claim()
    listener = socket.create_server((ports.LOOPBACK, port))
    listener.settimeout(0.02)
    enough = threading.Event()

    def serve(client: socket.socket) -> None:
        with client:
            while data := client.recv(65_536):
                request = data.removeprefix(HELLO)
                role = hello if len(request) < len(data) else b""
                client.sendall(role + (answer(request) if request else b""))

    def accept() -> None:
        while not enough.is_set():
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
        enough.set()
        thread.join()
        listener.close()
        ports.release(port)


def words(*texts: str) -> bytes:
    """An array of these texts, as a server writes it."""
    each = [f"${len(text.encode())}\r\n{text}\r\n" for text in texts]
    return f"*{len(texts)}\r\n{''.join(each)}".encode()
