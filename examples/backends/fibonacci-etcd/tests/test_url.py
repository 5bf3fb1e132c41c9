"""Connection URLs that the hook accepts."""

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_etcd import fibonacci_storage


@pytest.mark.parametrize("url", [None, "etcd://", "etcd://a,b", "etcd://h/db", "http://h"])
def test_form(url):
    """A URL other than etcd://host:port is refused, with the valid form."""
    with pytest.raises(ConfigurationError, match=r"connection URL.*: write etcd://host:2379$"):
        Workflow("w", MemoryConfig("etcd", url))


@pytest.mark.parametrize("url", ["etcd://user:hunter2@host", "etcd://:hunter2@host"])
def test_login(url):
    """A login is refused, and the password not quoted (C23)."""
    with pytest.raises(
        ConfigurationError, match=r"connection URL has a (user name|password)"
    ) as caught:
        Workflow("w", MemoryConfig("etcd", url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["etcd://h", "etcd://h:2379/"])
def test_port(url):
    """A host without a port gets etcd's."""
    backend = fibonacci_storage(StoreSettings(url=StoreURL.parse(url)))
    assert backend.identity == ("h", 2379)
