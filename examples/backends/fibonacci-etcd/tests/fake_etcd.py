"""A fake etcd: its JSON gateway, for tests without a real one.

As the gateway does, it writes 64-bit numbers as text, and leaves out what is zero, false or empty.
"""

import json
import random
import socket
import sys
import threading
import time
from base64 import b64decode, b64encode
from socketserver import StreamRequestHandler, ThreadingTCPServer

REFUSED = {
    "leader": (503, {"code": 14, "message": "etcdserver: no leader"}),
    "login": (401, {"code": 16, "message": "etcdserver: invalid auth token"}),
    "lease": (404, {"code": 5, "message": "etcdserver: requested lease not found"}),
    "size": (400, {"code": 3, "message": "etcdserver: request is too large"}),
}


class RefusedError(Exception):
    """A request is refused; the name of one of the responses above."""


class Etcd:
    """Keys, revisions and leases."""

    def __init__(self):
        self.lock = threading.Lock()
        self.revision = 1
        self.keys = {}
        self.leases = {}
        self.requests = []
        self.refuse = None  # the name of a response that all requests get

    def respond(self, path, request):
        with self.lock:
            self.sweep()
            self.requests.append(path)
            if self.refuse:
                raise RefusedError(self.refuse)
            step = {
                "/v3/kv/range": self.range,
                "/v3/kv/txn": self.txn,
                "/v3/kv/deleterange": self.delete,
                "/v3/lease/grant": self.grant,
            }
            return step[path](request)

    def sweep(self):
        """Delete the keys whose lease has ended."""
        now = time.monotonic()
        for lease in [one for one, end in self.leases.items() if end <= now]:
            del self.leases[lease]
            for key in [key for key, kv in self.keys.items() if kv.get("lease") == lease]:
                del self.keys[key]

    def range(self, request):
        inside = self.inside(request)
        limit = int(request.get("limit", 0)) or len(inside)
        hidden = {"value"} if request.get("keys_only") else set()
        shown = [
            {"key": b64encode(key).decode(), **_without(self.keys[key], hidden)}
            for key in inside[:limit]
        ]
        return {"kvs": shown, "more": len(inside) > limit, "count": str(len(inside))}

    def inside(self, request):
        first, end = b64decode(request["key"]), b64decode(request.get("range_end", ""))
        if not end:
            return [first] if first in self.keys else []
        return sorted(key for key in self.keys if first <= key < end)

    def txn(self, request):
        holds = all(map(self.holds, request.get("compare", ())))
        for step in request.get("success" if holds else "failure", ()):
            for kind, what in step.items():
                {"request_put": self.put, "request_delete_range": self.delete}[kind](what)
        return {"succeeded": holds}

    def holds(self, compare):
        kv = self.keys.get(b64decode(compare["key"]), {})
        target = f"{compare['target'].lower()}_revision"
        return kv.get(target, "0") == compare[target]

    def put(self, what):
        if len(what["value"]) > 2_000_000:  # 1.5 MB, in base64
            raise RefusedError("size")
        if (lease := what.get("lease", "0")) != "0" and lease not in self.leases:
            raise RefusedError("lease")
        self.revision += 1
        key, revision = b64decode(what["key"]), str(self.revision)
        created = self.keys.get(key, {}).get("create_revision", revision)
        self.keys[key] = {"create_revision": created, "mod_revision": revision, **what}
        del self.keys[key]["key"]

    def delete(self, what):
        self.revision += 1
        gone = self.inside(what)
        for key in gone:
            del self.keys[key]
        return {"deleted": str(len(gone))}

    def grant(self, request):
        self.leases[request["ID"]] = time.monotonic() + int(request["TTL"])
        return {"ID": request["ID"], "TTL": request["TTL"]}


class Handler(StreamRequestHandler):
    """One connection, with as much of HTTP as the backend needs."""

    def handle(self):
        server = self.server
        assert isinstance(server, Server)
        server.connections.append(self.connection)
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            request = self.rfile.read(length)
            if len(request) < length:  # broken off
                return
            path = line.split()[1].decode()
            server.deliver(self, *outcome(server.etcd, path, json.loads(request)))

    def deliver(self, status, body):
        self.wfile.write(
            f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )


class Server(ThreadingTCPServer):
    """An etcd on a free port of loopback."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self):
        self.etcd = Etcd()
        self.deliver = Handler.deliver
        self.connections = []
        for port in random.sample(range(10_240, 22_768), 100):
            try:
                super().__init__(("127.0.0.1", port), Handler)
                break
            except OSError:
                continue
        self.url = f"etcd://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # clients are broken off on purpose
            super().handle_error(request, client_address)

    def hang_up(self):
        """Close all connections, as a server does with idle ones."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *raised):
        self.shutdown()
        self.thread.join()
        self.server_close()


def _without(kv, hidden):
    return {name: value for name, value in kv.items() if value and name not in hidden}


def outcome(etcd, path, request):
    """The status and the body of a response."""
    try:
        status, response = 200, etcd.respond(path, request)
    except RefusedError as refused:
        status, response = REFUSED[str(refused)]
    return status, json.dumps({name: value for name, value in response.items() if value})
