"""Connection URLs and options that the hook accepts; it uses no network."""

import pytest
from stores import backend

from fibonacci import ConfigurationError, MemoryConfig, Workflow

URL = "mariadb://user:hunter2@host/database"
REFUSED = [
    None,
    "mysql://user:hunter2@host/database",
    "mariadb://user:hunter2@/database",
    "mariadb://user:hunter2@one,two/database",
    "mariadb://:hunter2@host/database",
    "mariadb://user:hunter2@host",
    "mariadb://user:hunter2@host/",
    "mariadb://user:hunter2@host/database/table",
]


@pytest.mark.parametrize("url", REFUSED)
def test_form(url):
    """A URL of another form is refused with the valid form, and without its password."""
    with pytest.raises(ConfigurationError, match=r": write mariadb://user:password@") as caught:
        Workflow("w", MemoryConfig("mariadb", url))
    assert "hunter2" not in str(caught.value)


def test_host():
    """A host that is no host name is refused."""
    with pytest.raises(ConfigurationError, match="the host in the connection URL has an empty"):
        backend("mariadb://user:hunter2@db..example/database")


@pytest.mark.parametrize("table", ["", "a b", "`x`", "1a", "other.records", "ä", "x" * 65, 5])
def test_table(table):
    """The name of a table is a name and no SQL."""
    with pytest.raises(ConfigurationError, match="option 'table' must be a table's name"):
        backend(URL, table=table)


@pytest.mark.parametrize("name", ["ssl_ca", "charset", "tabel"])
def test_unknown_option(name):
    """An option that the backend does not have is refused, with what to write instead."""
    with pytest.raises(ConfigurationError, match=r"write tls_ca|remove it|Did you mean 'table'"):
        backend(f"{URL}?{name}=hunter2")


def test_defaults():
    """Without a port it is MariaDB's, and without an option the table is named fibonacci."""
    settings = backend(URL).settings
    assert (settings.port, settings.table, settings.tls_ca) == (3306, "fibonacci", None)
    assert settings == backend("mariadb://user:hunter2@host:3306/database").settings


def test_secrets():
    """The password is in no repr (C23)."""
    created = backend(URL)
    stores = [created.create_store(), created.create_async_store()]
    assert "hunter2" not in repr([created, created.settings, *stores, *map(vars, stores)])
