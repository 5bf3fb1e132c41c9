"""What we use of psycopg's wrapper of libpq, on the installed version."""

import sys
from operator import attrgetter
from typing import Any

import pytest
from psycopg import pq

from fibonacci_postgres.driver import find_error_verbosity_setter


@pytest.mark.skipif(pq.__impl__ == "python", reason="psycopg's Python code links no libpq")
def test_error_verbosity_of_a_connection_can_be_set() -> None:
    """libpq's function is found through psycopg's module, and takes ``pgconn_ptr``.

    Without it a refused login would be judged by its text.
    """
    pgconn: Any = pq.PGconn.connect_start(b"host=/nonexistent")
    set_verbosity = find_error_verbosity_setter(sys.modules[type(pgconn).__module__].__file__)
    default, verbose = 1, 2
    assert set_verbosity(pgconn.pgconn_ptr, verbose) == default
    assert set_verbosity(pgconn.pgconn_ptr, verbose) == verbose
    pgconn.finish()


@pytest.mark.parametrize(
    "name",
    [
        "PGcancelConn.poll",
        "PGcancelConn.start",
        "PGconn.cancel_conn",
        "PGconn.connect_poll",
        "PGconn.connect_start",
        "PGconn.consume_input",
        "PGconn.flush",
        "PGconn.get_result",
        "PGconn.is_busy",
        "PGconn.send_prepare",
        "PGconn.send_query",
        "PGconn.send_query_params",
        "PGconn.send_query_prepared",
    ],
)
def test_non_blocking_functions_exist(name: str) -> None:
    """``psycopg.pq`` wraps libpq's functions that connect, send and receive without blocking."""
    assert callable(attrgetter(name)(pq))
