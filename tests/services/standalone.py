"""One Redis or Valkey by itself."""

from services import farm, ports
from services.process import Process
from services.resp import Client, ReplyError
from services.server import Server


class Standalone(Server):
    """A server that speaks the Redis protocol; `server("GET", "k")` asks it directly."""

    def __call__(self, *words: str | int) -> object:
        with Client.connect(self.host, self.port) as client:
            return client(*words)


def standalone(binary: str, settings: dict[str, str | int]) -> Standalone:
    """Start `binary` with `settings`: the directives of its configuration file."""
    port = ports.claim()
    return Standalone(
        process(binary, {"port": port, **settings}),
        port,
        f"redis://{ports.LOOPBACK}:{port}/0",
        lambda: answers(port),
    )


def process(binary: str, settings: dict[str, str | int]) -> Process:
    """A process with a folder of its own; it keeps nothing on disk unless `settings` say so."""
    defaults = {"bind": ports.LOOPBACK, "save": '""', "shutdown-timeout": 0}
    folder = farm.ground().folder("redis")
    lines = [f"{name} {value}\n" for name, value in (defaults | settings).items()]
    (folder / "server.conf").write_text("".join(lines))
    return Process([binary, "server.conf"], folder)


def answers(port: int) -> bool:
    """Whether the server on `port` has loaded its data and answers."""
    try:
        with Client.connect(ports.LOOPBACK, port) as client:
            return client("PING") == b"PONG"
    except (OSError, ReplyError):
        return False
