"""A single Redis or Valkey."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

from services import farm, ports
from services.process import Process
from services.resp import Client, Reply, ReplyError
from services.server import Server

Settings = Mapping[str, str | int]
"""Directives of the configuration file, with `_` for `-`: `maxmemory_policy="noeviction"`."""


class Redis:
    """A server that speaks the Redis protocol; `server("GET", "k")` sends it a command."""

    host: str
    port: int
    url: str
    tls: ssl.SSLContext | None = None

    def client(self, timeout: float = 2.0) -> Client:
        """Connect to it; a context manager."""
        return Client(self.url, tls=self.tls, timeout=timeout)

    def __call__(self, *words: str | int) -> Reply:
        with self.client() as client:
            return client(*words)

    def info(self, section: str) -> dict[str, str]:
        """Return the fields of `INFO section`."""
        text = self("INFO", section)
        assert isinstance(text, bytes)
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)

    def is_ready(self) -> bool:
        """Return whether it has loaded its data and replies."""
        try:
            return self("PING") == b"PONG"
        except (OSError, ReplyError):
            return False


class Standalone(Redis, Server):
    """A Redis or Valkey of the farm."""

    def __init__(self, process: Process, port: int, url: str = "") -> None:
        super().__init__(process, port, url or f"redis://{ports.LOOPBACK}:{port}/0")

    @property
    def folder(self) -> Path:
        """Return the folder of its files."""
        return self._process.folder

    @property
    def socket(self) -> Path:
        """Return the path of its unix socket."""
        return self.folder / "server.sock"


def launched(binary: str, settings: Settings) -> Standalone:
    """Start one server, and wait until it replies."""
    port = ports.claim()
    return Standalone(process(binary, data({"port": port, **settings})), port).start()


def process(binary: str, lines: Sequence[str], *options: str) -> Process:
    """Start a process in its own folder, with a configuration file of these lines."""
    folder = farm.ground().folder(Path(binary).name)
    (folder / "server.conf").write_text("\n".join([f"bind {ports.LOOPBACK}", *lines, ""]))
    return Process([binary, "server.conf", *options], folder)


def data(settings: Settings) -> list[str]:
    """Return the lines for a server of data; it stores nothing on disk by default."""
    defaults: dict[str, str | int] = {
        "unixsocket": "server.sock",
        "save": '""',
        "shutdown_timeout": 0,  # seconds that a primary's end would wait for its replicas
        "repl_diskless_sync_delay": 0,
        "repl_ping_replica_period": 1,  # no cluster lists a replica that has heard nothing yet
    }
    directives = defaults | dict(settings)
    return [f"{name.replace('_', '-')} {value}" for name, value in directives.items()]
