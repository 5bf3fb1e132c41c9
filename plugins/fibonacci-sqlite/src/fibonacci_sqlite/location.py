"""Where the file is: from a connection URL to an absolute path."""

import os

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreURL

_FORM = "sqlite:///relative/path.db, or sqlite:////absolute/path.db with four slashes"


def path_of(url: StoreURL | None) -> str:
    """Return the path that the URL names, made absolute now: the working directory may change.

    Raises ConfigurationError where the URL is missing, or names anything but a file.
    """
    if url is None:
        raise ConfigurationError(f"backend 'sqlite' needs a connection_url: {_FORM}")
    if url.scheme.startswith(("sqlite+", "sqlite3")):
        raise ConfigurationError(
            f"backend 'sqlite' takes no {url.scheme}:// but sqlite://, as no driver is named: "
            f"{_FORM}"
        )
    if url.scheme != "sqlite" or url.username is not None or url.password is not None:
        raise ConfigurationError(f"backend 'sqlite' takes a connection URL like {_FORM}")
    if url.hosts:
        raise ConfigurationError(
            f"the connection URL of backend 'sqlite' names a host where a file has none; "
            f"write {_FORM}"
        )
    path = url.path.removeprefix("/")
    if path.endswith(":memory:"):
        raise ConfigurationError(
            "backend 'sqlite' keeps its records in a file; for records in this process take "
            "backend='memory'"
        )
    if path.lstrip("/").startswith(("~", "$")):
        raise ConfigurationError(
            "the connection URL of backend 'sqlite' begins its path with ~ or $, which nothing "
            "replaces in a URL: write the whole path, as os.path.expanduser returns it; what is "
            "really called so is written ./~"
        )
    if os.path.basename(path) in ("", ".", ".."):
        raise ConfigurationError(
            f"the connection URL of backend 'sqlite' does not end with the name of a file; "
            f"write {_FORM}"
        )
    return os.path.abspath(path)
