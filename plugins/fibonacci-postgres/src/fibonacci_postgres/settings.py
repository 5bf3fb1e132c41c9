"""What a connection URL says: parameters for libpq, and options of our own."""

import os
import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, int_option, read_options
from fibonacci.plugin.runtime import did_you_mean
from fibonacci_postgres import elsewhere
from fibonacci_postgres.files import check_files
from fibonacci_postgres.hosts import check_hosts
from fibonacci_postgres.parameters import ConnectionParameters

OWN_OPTIONS: Final = ("create", "max_connections", "prepare", "table")
NUMBERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""Parameters that libpq reads as numbers, and looks at late."""

# Two names at most, so that the table can be told from its schema; 48 characters, as the name of
# its index is longer and PostgreSQL cuts names off at 63 bytes.
_TABLE: Final = re.compile(r"([A-Za-z_]\w{0,47}\.)?[A-Za-z_]\w{0,47}", re.ASCII)


@attrs.frozen(kw_only=True)
class Settings:
    """One server, one table, and how to go about it."""

    parameters: ConnectionParameters
    where: str
    """The server and the database, as error messages name them."""
    timeout: float
    """Seconds for one request."""
    create: bool = True
    """Make the table if it is missing."""
    prepare: bool = True
    """Use prepared statements; a transaction pooler may not allow it."""
    table: str = "fibonacci"
    """The table's name, perhaps behind its schema's and a dot."""
    max_connections: int = 10
    """Connections that this process keeps; and for async, each of its event loops."""


def read_settings(settings: StoreSettings) -> Settings:
    """Return what the URL and the options say; ConfigurationError if they can't be meant."""
    url = settings.url
    if url is None:
        raise ConfigurationError(
            "backend 'postgres' needs a connection URL like postgresql://user:password@host/db"
        )
    if url.scheme not in ("postgresql", "postgres"):
        named = url.scheme.startswith(("postgresql+", "postgres+"))
        driver = ": leave the driver out, psycopg is the one" if named else ""
        raise ConfigurationError(
            f"backend 'postgres' takes a URL that starts with postgresql://, not "
            f"{url.scheme}://{driver}"
        )
    own = {name: value for name, value in url.query.items() if name in OWN_OPTIONS}
    readers = {
        "create": switch,
        "prepare": switch,
        "table": table_name,
        "max_connections": at_least_one,
    }
    ours = attrs.evolve(settings, url=attrs.evolve(url, query=own))
    options = read_options(ours, readers, elsewhere.OPTIONS)
    return Settings(
        parameters=_parameters(url), where=_where(url), timeout=settings.timeout, **options
    )


def switch(value: Any) -> bool:
    """Read on or off, or true or false, as a bool or as text."""
    if isinstance(value, bool):
        return value
    if value not in ("on", "off", "true", "false"):
        raise ValueError("must be on or off")
    return value in ("on", "true")


def table_name(value: Any) -> str:
    """Read the name of a table."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be a table's name, or a schema's, a dot and a table's: each of at most 48 "
            "letters, digits and underscores, and no digit first"
        )
    return value


def at_least_one(value: Any) -> int:
    """Read a whole number of 1 or more."""
    if not (number := int_option(value)):
        raise ValueError("must be a whole number, 1 or more")
    return number


def _parameters(url: StoreURL) -> ConnectionParameters:
    """The parameters for libpq: from the parts of the URL, and from its query."""
    more = [name for name in url.query if name not in OWN_OPTIONS]
    given = _parts(url)
    for name in more:
        _check_name(name)
        if given.has(name):
            raise ConfigurationError(
                f"the connection URL gives {name!r} twice, once in its query: give it once"
            )
    found = given.but(**{name: url.query[name] for name in more})
    check_hosts(found)
    if more or any(name.startswith("PG") for name in os.environ):  # libpq takes 0.2 s
        _check_values(found)
        check_files(found)
    return found


def _check_values(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for values that libpq does not take."""
    for name in NUMBERS:
        if parameters.has(name) and not parameters.get(name).removeprefix("-").isdigit():
            raise ConfigurationError(f"option {name!r} must be a whole number")
    refused = parameters.refused()
    if refused is not None:
        rule = elsewhere.VALUES.get(refused, "has a value that libpq does not take")
        subject = parameters.source(refused) if refused else "an option of libpq's"
        raise ConfigurationError(f"{subject} {rule}")


def _parts(url: StoreURL) -> ConnectionParameters:
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
    from fibonacci_postgres.driver import parameter_names  # libpq knows them, and takes 0.2 s

    known = parameter_names()
    if name not in known and name in elsewhere.OPTIONS:
        raise ConfigurationError(
            f"neither backend 'postgres' nor libpq has an option {name!r}: "
            f"{elsewhere.OPTIONS[name]}"
        )
    if name not in known:
        raise ConfigurationError(
            f"neither backend 'postgres' nor libpq has an option {name!r}."
            f"{did_you_mean(name, [*OWN_OPTIONS, *known])} "
            f"Ours are {', '.join(OWN_OPTIONS)}; libpq's: "
            f"https://www.postgresql.org/docs/current/libpq-connect.html"
        )


def _where(url: StoreURL) -> str:
    hosts = url.hosts or (("its default address", None),)
    return str(StoreURL(scheme=url.scheme, hosts=hosts, path=url.path)).partition("://")[2]
