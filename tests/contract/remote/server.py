"""A server for a dict: a thread for each connection, and pickles of known length."""

import math
import pickle
import random
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

from minimal import MinimalStore

PASSWORD = "right"
DATABASE = "/base"


def pack(message):
    data = pickle.dumps(message)
    return len(data).to_bytes(4) + data


class Handler(StreamRequestHandler):
    def handle(self):
        assert isinstance(self.server, Server)
        granted = self.next() == PASSWORD
        self.wfile.write(pack(granted))
        while granted and (request := self.next()):
            method, args, options = request
            result = getattr(self.server.store, method)(*args, **options, deadline=math.inf)
            self.wfile.write(pack(result))

    def next(self):
        """Return the next message, or None at the end."""
        size = int.from_bytes(self.rfile.read(4))
        data = self.rfile.read(size)
        return pickle.loads(data) if size and len(data) == size else None


class Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        self.store = MinimalStore()
        for port in random.sample(range(20_240, 22_768), 100):
            try:
                super().__init__(("127.0.0.1", port), Handler)
                break
            except OSError:
                continue
        self.url = f"remote://user:{PASSWORD}@127.0.0.1:{self.server_address[1]}{DATABASE}"

    def handle_error(self, request, client_address):
        """Connections break on purpose."""

    def __enter__(self):
        Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *raised):
        self.shutdown()
        self.server_close()
