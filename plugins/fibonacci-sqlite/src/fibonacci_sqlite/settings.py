"""Settings from a connection URL: which file is opened, and how."""

import os
from typing import Final, Literal

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, bool_option, read_options

Synchronous = Literal["normal", "full"]

SYNCHRONOUS: Final[tuple[Synchronous, ...]] = ("normal", "full")
"""When a commit is on the disk: by the next checkpoint, or before it is acknowledged."""

_URL_FORMS = "sqlite:///relative/path.db, or sqlite:////absolute/path.db with four slashes"

_NAMES: Final = {
    "write readonly=true (mode=ro and immutable=1 mean that), or leave it out": "mode immutable",
    "leave it out, this backend sets what it needs": (
        "uri cache check_same_thread isolation_level detect_types cached_statements nolock vfs "
        "journal_mode _journal_mode foreign_keys _foreign_keys _fk _pragma _txlock pool_size "
        "connection_limit max_connections"
    ),
    "use MemoryConfig(timeout=…), which limits a whole operation": (
        "timeout busy_timeout _busy_timeout _timeout socket_timeout"
    ),
    "write synchronous": "_synchronous _sync",
}
FOREIGN_OPTIONS: Final = {name: hint for hint, names in _NAMES.items() for name in names.split()}
"""Options of sqlite3, SQLAlchemy, Prisma, Go's driver and others, with what to write instead."""


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    """Which file is opened, and how."""

    path: str
    """Absolute."""
    create: bool = True
    """Create the file and the table if they are missing."""
    readonly: bool = False
    """Change nothing, and need no permission to; ``create`` has no effect then."""
    synchronous: Synchronous = "normal"


def read_settings(settings: StoreSettings) -> ConnectionOptions:
    """Return what the URL and the options say. Raises ConfigurationError."""
    readers = {"create": bool_option, "readonly": bool_option, "synchronous": synchronous_option}
    options = read_options(settings, readers, FOREIGN_OPTIONS)
    return ConnectionOptions(path=parse_path(settings.url), **options)


def synchronous_option(value: object) -> str:
    """Return a valid value of ``synchronous``. Raises ValueError."""
    if value not in SYNCHRONOUS:
        raise ValueError(f"must be {' or '.join(SYNCHRONOUS)}")
    return str(value)


def parse_path(url: StoreURL | None) -> str:
    """Return the absolute path that the URL names, by the current working directory.

    Raises ConfigurationError if the URL is missing, or does not name a file.
    """
    if url is None:
        raise ConfigurationError(f"backend 'sqlite' needs a connection_url: {_URL_FORMS}")
    if url.scheme.startswith(("sqlite+", "sqlite3")):
        raise ConfigurationError(
            f"backend 'sqlite' takes sqlite://, not {url.scheme}://, as the driver is always "
            f"Python's sqlite3: {_URL_FORMS}"
        )
    if url.scheme != "sqlite" or url.username is not None or url.password is not None:
        raise ConfigurationError(f"backend 'sqlite' takes a connection URL like {_URL_FORMS}")
    if url.hosts:
        raise ConfigurationError(
            f"the connection URL of backend 'sqlite' names a host, but a file has none; "
            f"write {_URL_FORMS}"
        )
    path = url.path.removeprefix("/")
    if path.endswith(":memory:"):
        raise ConfigurationError(
            "backend 'sqlite' stores its records in a file; for records in this process use "
            "backend='memory'"
        )
    if path.lstrip("/").startswith(("~", "$")):
        raise ConfigurationError(
            "the connection URL of backend 'sqlite' starts its path with ~ or $, which is not "
            "expanded in a URL: write the whole path, as os.path.expanduser returns it; a file of "
            "that name is written ./~"
        )
    if os.path.basename(path) in ("", ".", ".."):
        raise ConfigurationError(
            f"the connection URL of backend 'sqlite' does not end with a file name; "
            f"write {_URL_FORMS}"
        )
    return os.path.abspath(path)
