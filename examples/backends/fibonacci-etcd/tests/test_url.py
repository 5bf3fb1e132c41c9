"""Connection URLs that the hook accepts."""

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow


@pytest.mark.parametrize("url", [None, "etcd://", "etcd://a,b", "etcd://h/db", "http://h"])
def test_form(url):
    """A URL other than etcd://host:port is refused, with the valid form."""
    with pytest.raises(ConfigurationError, match="a connection URL like etcd://host:2379"):
        Workflow("w", MemoryConfig("etcd", url))


@pytest.mark.parametrize("url", ["etcd://user:hunter2@host", "etcd://:hunter2@host"])
def test_login(url):
    """A login is refused, and the password not quoted (C23)."""
    with pytest.raises(ConfigurationError, match="does not log in") as caught:
        Workflow("w", MemoryConfig("etcd", url))
    assert "hunter2" not in str(caught.value)


def test_port(etcd):
    """A host without a port gets etcd's."""
    from fibonacci.plugin import StoreURL
    from fibonacci_etcd import EtcdBackend, _server

    backends = [
        EtcdBackend(*_server(StoreURL.parse(url))) for url in ("etcd://h", "etcd://h:2379/")
    ]
    assert backends[0].identity == backends[1].identity == ("h", 2379)
