"""The ``etcd`` backend, an example: records on a server that compares versions."""

from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import Backend, StoreSettings, StoreURL, hookimpl, read_options
from fibonacci_etcd.gateway import Gateway
from fibonacci_etcd.store import EtcdStore

FIBONACCI_SPEC_VERSION: Final = 1

PORT: Final = 2379


class EtcdBackend(Backend):
    """Connects to one server; ``etcd://host`` and ``etcd://host:2379`` share a store."""

    def __init__(self, host: str, port: int) -> None:
        """Store the address of the server."""
        self.host, self.port = self.identity = host, port

    def create_store(self) -> EtcdStore:
        """Return the store; the first operation connects."""
        return EtcdStore(Gateway(self.host, self.port))


@hookimpl
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for ``etcd://host:port``. Raises ConfigurationError."""
    read_options(settings, {})
    return EtcdBackend(*_server(settings.url))


def _server(url: StoreURL | None) -> tuple[str, int]:
    if url is None or url.scheme != "etcd" or len(url.hosts) != 1 or url.path.strip("/"):
        raise ConfigurationError("backend 'etcd' takes a connection URL like etcd://host:2379")
    if url.username is not None or url.password is not None:
        raise ConfigurationError("backend 'etcd' does not log in; leave user and password out")
    host, port = url.hosts[0]
    return host, PORT if port is None else port
