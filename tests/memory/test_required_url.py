"""read_url: a backend's connection URL has the parts of an example."""

import traceback

import pytest

from fibonacci import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, read_url

SECRET = "canary-3f9a"

SERVER = "mariadb://user:password@host:3306/database"
NODES = "nodes://host:port,host:port"
FILE = "file:///relative/name.db or file:////absolute/name.db"
NAME = "name://region"


def settings(url: str | None) -> StoreSettings:
    return StoreSettings(url=None if url is None else StoreURL.parse(url))


@pytest.mark.parametrize(
    ("example", "url"),
    [
        (SERVER, "mariadb://ada:secret@db.example:3307/memory?table=t"),
        (SERVER, "mariadb://db.example/memory"),
        (SERVER, "mariadb://ada@[::1]/memory/"),
        (NODES, "nodes://a:1,b,c:3"),
        (NODES, "nodes://a/"),
        (FILE, "file:////absolute/x.db"),
        (NAME, "name://eu-west-1?table=t"),
    ],
)
def test_url_with_the_parts_of_the_example_is_returned(example: str, url: str):
    """read_url() returns a URL that has the example's parts; user and port are optional."""
    assert read_url(settings(url), example) == StoreURL.parse(url)


@pytest.mark.parametrize(
    ("example", "url", "problem"),
    [
        (SERVER, f"redis://u:{SECRET}@h/db", "starts with redis://"),
        (SERVER, f"mariadb://u:{SECRET}@/db", "has no host"),
        (SERVER, f"mariadb://u:{SECRET}@h,i/db", "has several hosts"),
        (SERVER, f"mariadb://u:{SECRET}@h", "has no path"),
        (SERVER, f"mariadb://u:{SECRET}@h/", "has no path"),
        (NODES, f"nodes://{SECRET}@h", "has a user name"),
        (NODES, f"nodes://:{SECRET}@h", "has a password"),
        (NODES, "nodes://", "has no host"),
        (NODES, f"nodes://h/{SECRET}", "has a path after its host"),
        (FILE, f"file://{SECRET}/name.db", "has a host"),
        (NAME, "name://h:1", "has a port"),
    ],
)
def test_url_with_other_parts_is_refused(example: str, url: str, problem: str):
    """read_url() refuses a URL that has not the example's parts, and never quotes it (C23)."""
    with pytest.raises(ConfigurationError) as caught:
        read_url(settings(url), example)
    assert str(caught.value) == f"the connection URL {problem}: write {example}"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_missing_url_is_refused():
    """read_url() refuses settings without a URL, and shows the example."""
    with pytest.raises(ConfigurationError) as caught:
        read_url(settings(None), SERVER)
    assert str(caught.value) == f"the backend needs a connection URL: write {SERVER}"
