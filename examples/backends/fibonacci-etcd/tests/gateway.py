"""The far end of the wire: what an etcd's JSON gateway answers, for tests that need no etcd.

As the gateway does, it writes 64-bit numbers as text, and leaves out what is zero, false or empty.
"""

import json
import random
import threading
import time
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSED = {
    "lease": (404, {"code": 5, "message": "etcdserver: requested lease not found"}),
    "size": (400, {"code": 3, "message": "etcdserver: request is too large"}),
}


class RefusedError(Exception):
    """An answer that is none; the name of one of those above."""


class Etcd:
    """Keys, revisions and leases."""

    def __init__(self):
        self.lock = threading.Lock()
        self.revision = 1
        self.keys = {}
        self.leases = {}

    def answer(self, path, asked):
        with self.lock:
            self.sweep()
            step = {
                "/v3/kv/range": self.range,
                "/v3/kv/txn": self.txn,
                "/v3/lease/grant": self.grant,
            }
            return step[path](asked)

    def sweep(self):
        """Let keys go whose lease has ended."""
        now = time.monotonic()
        for lease in [one for one, end in self.leases.items() if end <= now]:
            del self.leases[lease]
            for key in [key for key, kv in self.keys.items() if kv.get("lease") == lease]:
                del self.keys[key]

    def range(self, asked):
        first, end = b64decode(asked["key"]), b64decode(asked.get("range_end", ""))
        inside = [key for key in sorted(self.keys) if first <= key < (end or first + b"\0")]
        limit = int(asked.get("limit", 0)) or len(inside)
        hidden = {"value"} if asked.get("keys_only") else set()
        shown = [
            {"key": b64encode(key).decode(), **_without(self.keys[key], hidden)}
            for key in inside[:limit]
        ]
        return {"kvs": shown, "more": len(inside) > limit, "count": str(len(inside))}

    def txn(self, asked):
        holds = all(map(self.holds, asked.get("compare", ())))
        for step in asked.get("success" if holds else "failure", ()):
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
        self.keys.pop(b64decode(what["key"]), None)

    def grant(self, asked):
        self.leases[asked["ID"]] = time.monotonic() + int(asked["TTL"])
        return {"ID": asked["ID"], "TTL": asked["TTL"]}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, self.server.etcd.answer(self.path, asked)
        except RefusedError as refused:
            status, answer = REFUSED[str(refused)]
        body = json.dumps({name: value for name, value in answer.items() if value}).encode()
        self.server.deliver(self, status, body)

    def deliver(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: tests read their own output."""


class Server(ThreadingHTTPServer):
    """An etcd on a free port of loopback."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        self.etcd = Etcd()
        self.deliver = Handler.deliver
        for port in random.sample(range(10_240, 22_768), 100):
            try:
                super().__init__(("127.0.0.1", port), Handler)
                break
            except OSError:
                continue
        self.url = f"etcd://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *raised):
        self.shutdown()
        self.thread.join()
        self.server_close()


def _without(kv, hidden):
    return {name: value for name, value in kv.items() if value and name not in hidden}
