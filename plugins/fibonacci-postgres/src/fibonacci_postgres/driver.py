"""libpq, as psycopg wraps it: the only module that imports psycopg.

``psycopg.pq`` alone is used, the documented wrapper of libpq. psycopg's own connections wait inside
C, where neither a deadline nor a signal handler reaches them.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, cast

from fibonacci.errors import PluginLoadError

try:
    from psycopg import Error as DriverError
    from psycopg import pq
    from psycopg.pq.abc import PGconn, PGresult
except ImportError as fault:
    raise PluginLoadError(
        f"backend 'postgres': psycopg can't be imported: {' '.join(str(fault).split())}. Install "
        f"it anew: pip install --force-reinstall 'psycopg[binary]'; where that has no wheel, "
        f"psycopg with the system's libpq"
    ) from fault

__all__ = [
    "DriverError",
    "PGconn",
    "PGresult",
    "ambient",
    "conninfo",
    "named_in",
    "parameter_names",
    "pq",
    "say_sqlstates",
    "secret_names",
    "variable_of",
]

_VERBOSE: Final = 2
"""PQERRORS_VERBOSE, of libpq-fe.h."""


def conninfo(parameters: Mapping[str, str]) -> bytes:
    r"""Write parameters as libpq reads them: ``name='value'``, and ``\`` before ``\`` or ``'``."""
    written = [
        f"{name}='" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
        for name, value in parameters.items()
    ]
    return " ".join(written).encode()


def named_in(text: str) -> str:
    """Return the parameter that libpq's text is about; "" if it names none."""
    words = set(re.findall(r"\w+", text))
    return max((name for name in parameter_names() if name in words), key=len, default="")


def variable_of(name: str) -> str:
    """Return the environment variable that stands for a parameter; "" if there is none."""
    variables = {one.keyword.decode(): one.envvar for one in pq.Conninfo.get_defaults()}
    return (variables.get(name) or b"").decode()


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


def say_sqlstates(pgconn: PGconn) -> None:
    """Have libpq write the SQLSTATE into what it says when a server refuses a connection.

    There is no other way to learn it, and psycopg knows no way. Where its libpq can't be reached,
    nothing is done.
    """
    set_verbosity = verbosity_setter(sys.modules[type(pgconn).__module__].__file__)
    connection: Any = pgconn  # no stub knows its pointer
    set_verbosity(connection.pgconn_ptr, _VERBOSE)


@cache
def verbosity_setter(library: str | None) -> Callable[[int | None, int], int]:
    """Return libpq's ``PQsetErrorVerbosity``, found by way of a library that is linked with it."""
    try:
        function = ctypes.PyDLL(library).PQsetErrorVerbosity
    except (OSError, AttributeError):  # no library, or one that holds libpq and hides it
        return lambda *_: 0
    function.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return cast("Callable[[int | None, int], int]", function)
