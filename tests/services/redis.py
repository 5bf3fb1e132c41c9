"""Redis, if the machine has it: Debian's 7.0, which supports TLS. Settings are as for Valkey."""

import shutil
from typing import TYPE_CHECKING
from urllib.parse import quote

from services import cluster as _cluster
from services import ports
from services import sentinel as _sentinel
from services import standalone as _standalone
from services.availability import unavailable
from services.cluster import Cluster
from services.process import Process
from services.sentinel import Watched
from services.standalone import Standalone

if TYPE_CHECKING:
    from services.certificates import Certificates

USER = "fibonacci"
PASSWORD = "p@ss/word:#1"


class Secured(Standalone):
    """A Redis with mutual TLS, whose only user may run nothing dangerous, and only on some keys."""

    user = USER
    password = PASSWORD

    def __init__(self, process: Process, port: int, made: "Certificates") -> None:
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        super().__init__(process, port, f"rediss://{login}@{ports.LOOPBACK}:{port}/0")
        self.certificates = made
        self.tls = made.context()


def standalone(**settings: str | int) -> Standalone:
    """Start one server."""
    return _standalone.launched(binary(), settings)


def cluster(**settings: str | int) -> Cluster:
    """Start a cluster of three primaries and three replicas."""
    return _cluster.launched(binary(), settings)


def sentinel(**settings: str | int) -> Watched:
    """Start a primary, a replica and three Sentinels."""
    return _sentinel.launched(binary(), settings)


def secured(keys: str = "*", **settings: str | int) -> Secured:
    """Start one server with mutual TLS and an ACL: all but `@dangerous`, on `keys` (a glob)."""
    # At the top it would make every start of pytest wait for cryptography.
    from services.certificates import certificates

    port = ports.claim()
    process = _standalone.process(binary(), _standalone.data(_tls(port) | settings))
    rule = f">{PASSWORD} ~{keys} &* +@all -@dangerous"
    with (process.folder / "server.conf").open("a") as file:
        file.write(f"user default off\nuser {USER} on {rule}\n")
    return Secured(process, port, certificates(process.folder)).start()


def binary() -> str:
    """Return the path of the executable."""
    found = shutil.which("redis-server")
    if found is None:
        unavailable("Redis 7.0", "no redis-server on PATH", "apt-get install redis-server")
    return found


def _tls(port: int) -> dict[str, str | int]:
    return {
        "port": 0,
        "tls_port": port,
        "tls_cert_file": "server.pem",
        "tls_key_file": "server.key",
        "tls_ca_cert_file": "ca.pem",
        "tls_auth_clients": "yes",
    }
