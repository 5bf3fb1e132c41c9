"""The parts that a backend's connection URL must have, and those that it can't have."""

from collections.abc import Iterator

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.storage import StoreSettings
from fibonacci.plugin.url import StoreURL


def read_url(settings: StoreSettings, example: str) -> StoreURL:
    """Return the connection URL, which has to have the same parts as the example.

    ``example`` is what an error tells the user to write, such as
    ``mariadb://user:password@host:3306/database``. The URL must have its scheme, a host if it has
    one (several are allowed if it has several), and a path if it has one. User, password and port
    are optional if it has them. A part that the example lacks is refused, except the query, which
    :func:`read_options` checks. Words after the example are shown, and not read. For several
    schemes, call it with the example of the scheme that the URL has.

    Raises ConfigurationError, which does not quote the URL.
    """
    url = settings.url
    if url is None:
        raise ConfigurationError(f"the backend needs a connection URL: write {example}")
    problem = next(_problems(url, _parse_example(example)), None)
    if problem is not None:
        raise ConfigurationError(f"the connection URL {problem}: write {example}")
    return url


def _parse_example(example: str) -> StoreURL:
    """Parse the first word; ``port`` may stand for a number."""
    return StoreURL.parse(example.partition(" ")[0].replace(":port", ":1"))


def _problems(url: StoreURL, example: StoreURL) -> Iterator[str]:
    if url.scheme != example.scheme:
        yield f"starts with {url.scheme}://"
    if url.username is not None and example.username is None:
        yield "has a user name"
    if url.password is not None and example.password is None:
        yield "has a password"
    if bool(url.hosts) is not bool(example.hosts):
        yield "has a host" if url.hosts else "has no host"
    if len(url.hosts) > 1 and len(example.hosts) == 1:
        yield "has several hosts"
    if _has_port(url) and not _has_port(example):
        yield "has a port"
    if _has_path(url) is not _has_path(example):
        yield "has a path after its host" if _has_path(url) else "has no path"


def _has_port(url: StoreURL) -> bool:
    return any(port is not None for _, port in url.hosts)


def _has_path(url: StoreURL) -> bool:
    """Return whether there is a path; a slash alone is none."""
    return bool(url.path.strip("/"))
