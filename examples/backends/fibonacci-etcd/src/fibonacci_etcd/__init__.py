"""The ``etcd`` backend, an example: records on a server that compares versions."""

from typing import Final

from fibonacci.plugin import Backend, StoreSettings, hookimpl, read_options, read_url
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
    ((host, port),) = read_url(settings, "etcd://host:2379").hosts
    return EtcdBackend(host, PORT if port is None else port)
