"""Settings from a connection URL: parameters for libpq, and the backend's own options."""

import os
import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, int_option, read_options
from fibonacci.plugin.runtime import did_you_mean
from fibonacci_postgres.parameters import (
    ConnectionParameters,
    check_files,
    check_hosts,
    check_values,
)

OWN_OPTIONS: Final = ("create", "max_connections", "prepare", "table")

# Two names at most, a schema's and a table's. 48 characters, as the name of the index is longer and
# PostgreSQL truncates names at 63 bytes.
_TABLE: Final = re.compile(r"([A-Za-z_]\w{0,47}\.)?[A-Za-z_]\w{0,47}", re.ASCII)

_TIME: Final = "use MemoryConfig(timeout=…), the seconds for a whole request including connecting"
_FOREIGN_OPTION_HINTS: Final = {
    "write prepare=off, which is what a transaction pooler needs": (
        "pgbouncer prepareThreshold preparedStatementCacheQueries prepared_statements "
        "prepare_threshold statement_cache_size prepared_statement_cache_size "
        "statement_cache_capacity statement_cache_mode default_query_exec_mode no_prepare"
    ),
    "write table=schema.fibonacci, as in table=public.fibonacci": (
        "schema currentSchema search_path searchpath"
    ),
    "write max_connections": (
        "connection_limit pool_size max_overflow min_size max_size maxPoolSize maximumPoolSize "
        "minPoolSize max pool_max_conns pool_min_conns max_pool_size min_pool_size conn_limit"
    ),
    _TIME: (
        "pool_timeout timeout command_timeout query_timeout socket_timeout socketTimeout "
        "connectTimeout connectionTimeout loginTimeout connection_timeout acquire_timeout"
    ),
    f"{_TIME}; for session settings write options=-c%20name%3Dvalue": (
        "statement_timeout lock_timeout idle_in_transaction_session_timeout server_settings"
    ),
    "remove it, the backend needs no such setting": (
        "pool_recycle pool_pre_ping pool_max_conn_lifetime pool_max_conn_idle_time max_idle "
        "max_lifetime max_inactive_connection_lifetime idleTimeout maxLifetime "
        "binary_parameters reWriteBatchedInserts uselibpqcompat supa workaround conn_max_age"
    ),
    "write sslmode=require, or sslmode=verify-full and sslrootcert with the CA's file": (
        "ssl sslaccept sslfactory ssl_min_protocol require_ssl tls sslidentity"
    ),
    "write application_name": "ApplicationName applicationName app_name",
    "write target_session_attrs": "targetServerType",
    "write keepalives": "tcpKeepAlive tcp_keepalive keepAlive",
}
FOREIGN_OPTIONS: Final = {
    name: hint for hint, names in _FOREIGN_OPTION_HINTS.items() for name in names.split()
}
"""Options of Prisma, SQLAlchemy, JDBC, node-postgres, asyncpg, pgx and others: what to write."""


@attrs.frozen(kw_only=True)
class Settings:
    """One server, one table, and how to use them."""

    parameters: ConnectionParameters
    location: str
    """The server and the database, as error messages name them."""
    timeout: float
    """Seconds for one request."""
    create: bool = True
    """Create the table if it is missing."""
    prepare: bool = True
    """Use prepared statements; a transaction pooler may not allow them."""
    table: str = "fibonacci"
    """The table's name, or ``schema.table``."""
    max_connections: int = 10
    """Connections of this process in sync code; and in async code, of each event loop."""


def read_settings(settings: StoreSettings) -> Settings:
    """Return the settings from a URL and options; ConfigurationError if they are invalid."""
    url = settings.url
    if url is None:
        raise ConfigurationError(
            "backend 'postgres' needs a connection URL like postgresql://user:password@host/db"
        )
    if url.scheme not in ("postgresql", "postgres"):
        has_driver = url.scheme.startswith(("postgresql+", "postgres+"))
        hint = ": leave the driver out, the backend always uses psycopg" if has_driver else ""
        raise ConfigurationError(
            f"backend 'postgres' needs a URL that starts with postgresql://, not "
            f"{url.scheme}://{hint}"
        )
    own = {name: value for name, value in url.query.items() if name in OWN_OPTIONS}
    readers = {
        "create": on_off_option,
        "prepare": on_off_option,
        "table": table_name_option,
        "max_connections": positive_int_option,
    }
    own_settings = attrs.evolve(settings, url=attrs.evolve(url, query=own))
    options = read_options(own_settings, readers, FOREIGN_OPTIONS)
    return Settings(
        parameters=_read_parameters(url),
        location=_location(url),
        timeout=settings.timeout,
        **options,
    )


def on_off_option(value: Any) -> bool:
    """Read on or off, or true or false, as a bool or as text; ValueError for anything else."""
    if isinstance(value, bool):
        return value
    if value not in ("on", "off", "true", "false"):
        raise ValueError("must be on or off")
    return value in ("on", "true")


def table_name_option(value: Any) -> str:
    """Read the name of a table; ValueError if it is invalid."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be a table's name or schema.table, each name of at most 48 letters, digits and "
            "underscores, and not starting with a digit"
        )
    return value


def positive_int_option(value: Any) -> int:
    """Read a whole number of 1 or more; ValueError for anything else."""
    if not (number := int_option(value)):
        raise ValueError("must be a whole number, 1 or more")
    return number


def _read_parameters(url: StoreURL) -> ConnectionParameters:
    """Return the parameters for libpq, from the parts of the URL and from its query."""
    names = [name for name in url.query if name not in OWN_OPTIONS]
    parameters = _parameters_of_parts(url)
    for name in names:
        _check_name(name)
        if parameters.has(name):
            raise ConfigurationError(
                f"the connection URL sets {name!r} twice, once in its query: remove one of them"
            )
    parameters = parameters.replace(**{name: url.query[name] for name in names})
    check_hosts(parameters)
    # Importing libpq takes 0.2 s, so the rest is checked only if something can be wrong.
    if names or any(name.startswith("PG") for name in os.environ):
        check_values(parameters)
        check_files(parameters)
    return parameters


def _parameters_of_parts(url: StoreURL) -> ConnectionParameters:
    hosts = [host for host, _ in url.hosts]
    ports = ["" if port is None else str(port) for _, port in url.hosts]
    parts = {
        "user": url.username,
        "password": url.password,
        "host": ",".join(hosts),
        "port": ",".join(ports) if any(ports) else "",
        "dbname": url.path[1:],
    }
    return ConnectionParameters({name: value for name, value in parts.items() if value})


def _check_name(name: str) -> None:
    from fibonacci_postgres.driver import parameter_names  # its import takes 0.2 s

    known = parameter_names()
    if name in known:
        return
    problem = f"neither backend 'postgres' nor libpq has an option {name!r}"
    if name in FOREIGN_OPTIONS:
        raise ConfigurationError(f"{problem}: {FOREIGN_OPTIONS[name]}")
    raise ConfigurationError(
        f"{problem}.{did_you_mean(name, [*OWN_OPTIONS, *known])} The backend's options are "
        f"{', '.join(OWN_OPTIONS)}; for libpq's see "
        f"https://www.postgresql.org/docs/current/libpq-connect.html"
    )


def _location(url: StoreURL) -> str:
    hosts = url.hosts or (("its default address", None),)
    return str(StoreURL(scheme=url.scheme, hosts=hosts, path=url.path)).partition("://")[2]
