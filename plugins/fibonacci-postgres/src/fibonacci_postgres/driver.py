"""libpq, as psycopg wraps it: the only module that imports psycopg.

``psycopg.pq`` alone is used, the documented wrapper of libpq. psycopg's own connections wait inside
C, where neither a deadline nor a signal handler reaches them.
"""

from collections.abc import Mapping
from functools import cache

from psycopg import Error as DriverError
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

__all__ = [
    "DriverError",
    "PGconn",
    "PGresult",
    "ambient",
    "conninfo",
    "parameter_names",
    "pq",
    "secret_names",
]


def conninfo(parameters: Mapping[str, str]) -> bytes:
    r"""Write parameters as libpq reads them: ``name='value'``, and ``\`` before ``\`` or ``'``."""
    written = [
        f"{name}='" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
        for name, value in parameters.items()
    ]
    return " ".join(written).encode()


@cache
def parameter_names() -> tuple[str, ...]:
    """Return the names of all connection parameters that this libpq knows."""
    return tuple(option.keyword.decode() for option in pq.Conninfo.get_defaults())


@cache
def secret_names() -> frozenset[str]:
    """Return the names of the parameters that hold a secret, as libpq marks them."""
    return frozenset(
        option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"
    )


def ambient(name: str) -> str:
    """Return what libpq takes for a parameter that is not given: from the environment, mostly."""
    for option in pq.Conninfo.get_defaults():
        if option.keyword.decode() == name and option.val is not None:
            return option.val.decode()
    return ""
