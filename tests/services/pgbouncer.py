"""PgBouncer, if the machine has it: connections to PostgreSQL pooled by transaction.

Debian's 1.18 knows no prepared statements: what one transaction prepares, the next may not find.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services import farm, pgwire, ports
from services.account import account
from services.availability import unavailable
from services.postgres import Postgres
from services.process import Process
from services.server import Server

_SETTINGS = {
    "listen_addr": ports.LOOPBACK,
    "unix_socket_dir": "",
    "auth_type": "any",
    "pool_mode": "transaction",
    "default_pool_size": 2,
    "ignore_startup_parameters": "extra_float_digits",
}


class PgBouncer(Server):
    """A pooler before one PostgreSQL, with two connections a database."""

    def __init__(self, process: Process, port: int, behind: Postgres) -> None:
        super().__init__(process, port, f"postgresql://postgres@{ports.LOOPBACK}:{port}/postgres")
        self.behind = behind

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL, through the pooler, of a new database of its PostgreSQL."""
        with self.behind.database() as url:
            yield url.replace(f":{self.behind.port}/", f":{self.port}/")

    def ensure_running(self) -> "PgBouncer":
        """Start it again if it has ended by itself, as a service manager does.

        Releases 1.18 to 1.20 exit with "server in bad state" at some cancel requests.
        """
        return self if self.alive else self.start()

    def is_ready(self) -> bool:
        try:
            return pgwire.query(self.host, self.port, "SELECT 1") == [["1"]]
        except (OSError, pgwire.QueryError):
            return False


def pooler(behind: Postgres) -> PgBouncer:
    """Start one before a PostgreSQL of the farm."""
    program, own = binary(), ports.claim()
    folder = farm.ground().folder("pgbouncer")
    who = account(program.parent)
    who.enter(folder)
    settings = [f"{name} = {value}" for name, value in (_SETTINGS | {"listen_port": own}).items()]
    server = f"* = host={behind.host} port={behind.port} user=postgres"
    lines = ["[databases]", server, "[pgbouncer]", *settings, ""]
    (folder / "pgbouncer.ini").write_text("\n".join(lines))
    process = Process(who.command(program.name, "pgbouncer.ini"), folder, user=who.user)
    return PgBouncer(process, own, behind).start()


def binary() -> Path:
    """Return the path of the executable."""
    found = shutil.which("pgbouncer")
    if found is None:
        unavailable("PgBouncer", "no pgbouncer on PATH", "apt-get install pgbouncer")
    return Path(found)
