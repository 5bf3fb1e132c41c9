"""Settings from a connection URL and options: checked before anything connects."""

import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, read_options, read_url, text_option
from fibonacci.plugin.runtime import host_problem

PORT: Final = 3306

_EXAMPLE: Final = "mariadb://user:password@host:3306/database"

_TABLE: Final = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_FOREIGN_OPTIONS: Final = {
    **dict.fromkeys(("ssl_ca", "ssl-ca", "sslrootcert"), "write tls_ca"),
    "charset": "remove it, the backend stores bytes",
    "connect_timeout": "use MemoryConfig(timeout=…)",
}


@attrs.frozen(kw_only=True)
class Settings:
    """One table on one server."""

    host: str
    port: int
    user: str
    password: str = attrs.field(repr=False)
    database: str
    table: str = "fibonacci"
    tls_ca: str | None = None
    """The file (PEM) with the authority that has signed the server's certificate, or ``system`` for
    the authorities that this machine trusts; None: no TLS."""

    @property
    def server(self) -> str:
        """The server, as error messages name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"MariaDB at {host}:{self.port}"

    @property
    def driver_password(self) -> str:
        """The password's UTF-8 as text that both drivers encode as Latin-1 (PyMySQL 1.2)."""
        return self.password.encode().decode("latin-1")


def read_settings(settings: StoreSettings) -> Settings:
    """Return the settings; ConfigurationError if the URL or an option is wrong."""
    options = read_options(
        settings, {"table": table_option, "tls_ca": text_option}, _FOREIGN_OPTIONS
    )
    url = read_url(settings, _EXAMPLE)
    database = url.path.removeprefix("/")
    if not url.username or "/" in database:  # a driver would log in as another user
        raise ConfigurationError(
            f"the connection URL needs a user and a database: write {_EXAMPLE}"
        )
    host, port = url.hosts[0]
    if problem := host_problem(host):
        raise ConfigurationError(f"the host in the connection URL {problem}")
    return Settings(
        host=host,
        port=port or PORT,
        user=url.username,
        password=url.password or "",
        database=database,
        **options,
    )


def table_option(value: Any) -> str:
    """Return the name of a table, which is safe in SQL. Raises ValueError."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be a table's name: at most 64 letters, digits and underscores, not starting with "
            "a digit"
        )
    return value
