"""libpq, as psycopg wraps it: the only module that imports psycopg.

It uses only ``psycopg.pq``, the documented wrapper of libpq. psycopg's own connections wait inside
C code, where neither a deadline nor a signal handler reaches them.
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
except ImportError as error:
    raise PluginLoadError(
        f"backend 'postgres': psycopg can't be imported: {' '.join(str(error).split())}. Reinstall "
        f"it: pip install --force-reinstall 'psycopg[binary]'; on a platform without a binary "
        f"wheel, install psycopg and the system's libpq"
    ) from error

__all__ = [
    "DriverError",
    "PGconn",
    "PGresult",
    "enable_sqlstates",
    "environment_default",
    "environment_variable",
    "find_error_verbosity_setter",
    "find_parameter_name",
    "make_conninfo",
    "parameter_names",
    "pq",
    "secret_parameter_names",
]

_VERBOSE: Final = 2
"""PQERRORS_VERBOSE, of libpq-fe.h."""


def make_conninfo(parameters: Mapping[str, str]) -> bytes:
    r"""Return a connection string: ``name='value'`` pairs, with ``\`` before ``\`` and ``'``."""
    pairs = [
        f"{name}='" + value.replace("\\", r"\\").replace("'", r"\'") + "'"
        for name, value in parameters.items()
    ]
    return " ".join(pairs).encode()


def find_parameter_name(message: str) -> str:
    """Return the connection parameter that a message of libpq names; "" if it names none."""
    words = set(re.findall(r"\w+", message))
    return max((name for name in parameter_names() if name in words), key=len, default="")


def environment_variable(name: str) -> str:
    """Return the environment variable of a connection parameter; "" if it has none."""
    variables = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    return (variables.get(name) or b"").decode()


@cache
def parameter_names() -> tuple[str, ...]:
    """Return the names of all connection parameters that this libpq knows."""
    return tuple(option.keyword.decode() for option in pq.Conninfo.get_defaults())


@cache
def secret_parameter_names() -> frozenset[str]:
    """Return the names of the parameters that hold a secret, as libpq marks them."""
    return frozenset(
        option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"
    )


def environment_default(name: str) -> str:
    """Return libpq's default for a connection parameter, mostly from the environment."""
    for option in pq.Conninfo.get_defaults():
        if option.keyword.decode() == name and option.val is not None:
            return option.val.decode()
    return ""


def enable_sqlstates(pgconn: PGconn) -> None:
    """Make libpq include the SQLSTATE in its message when a server refuses a connection.

    There is no other way to get it, and psycopg has no function for this. Does nothing if the libpq
    that psycopg uses can't be reached.
    """
    set_verbosity = find_error_verbosity_setter(sys.modules[type(pgconn).__module__].__file__)
    connection: Any = pgconn  # no stub has its pointer
    set_verbosity(connection.pgconn_ptr, _VERBOSE)


@cache
def find_error_verbosity_setter(library: str | None) -> Callable[[int | None, int], int]:
    """Return libpq's ``PQsetErrorVerbosity``, looked up through a library that is linked with it.

    Returns a function that does nothing if the library has no such symbol.
    """
    try:
        function = ctypes.PyDLL(library).PQsetErrorVerbosity
    except (OSError, AttributeError):  # not a library, or one that contains libpq and hides it
        return lambda *_: 0
    function.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return cast("Callable[[int | None, int], int]", function)
