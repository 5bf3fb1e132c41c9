"""A DynamoDB that replies at once: one item for each GetItem, an empty response otherwise.

It prints its port, and serves until its input ends. Measurements against it are of the client.
"""

import base64
import json
import socket
import sys
import threading
import zlib


def answer_to(head: bytes, item: bytes) -> bytes:
    """Return the whole response to a request with this head."""
    body = item if b"DynamoDB_20120810.GetItem" in head else b"{}"
    status = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\nx-amzn-RequestId: 0\r\nContent-Length: {len(body)}\r\n"
    )
    return status.encode() + b"\r\n" + body


def serve(client: socket.socket, item: bytes) -> None:
    """Serve the requests of one connection."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            if not (piece := client.recv(262_144)):
                return
            received += piece
        head, _, received = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(received) < length:
            received += client.recv(262_144)
        received = received[length:]
        client.sendall(answer_to(head, item))


def main(value: bytes) -> None:
    """Serve a record of these bytes."""
    stored = {"pk": {"S": "s"}, "sk": {"S": "k"}, "v": {"B": base64.b64encode(value).decode()}}
    item = json.dumps({"Item": stored}).encode()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, item), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1].encode())
