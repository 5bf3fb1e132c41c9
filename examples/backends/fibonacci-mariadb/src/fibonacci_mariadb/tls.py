"""TLS: who the server is, for both drivers."""

import ssl
from typing import Any

from fibonacci.errors import StorageError
from fibonacci.plugin.runtime import ca_file_problem, trust_store_problem
from fibonacci_mariadb.settings import Settings


class HostContext(ssl.SSLContext):
    """Checks the certificate against the host's name; the drivers connect to an address of it."""

    host: str

    def wrap_bio(self, incoming: Any, outgoing: Any, *_: Any, **__: Any) -> ssl.SSLObject:
        """Begin TLS in async code."""
        return super().wrap_bio(incoming, outgoing, server_hostname=self.host)


def client_context(settings: Settings, kind: type[HostContext] = HostContext) -> HostContext | None:
    """Return the context of the option tls_ca, or None without it. Raises StorageError."""
    if settings.tls_ca is None:
        return None
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.host = settings.host
    if settings.tls_ca != "system":
        if problem := ca_file_problem(settings.tls_ca):
            raise StorageError(f"the option tls_ca names {settings.tls_ca!r}, and {problem}")
        context.load_verify_locations(settings.tls_ca)
        return context
    if problem := trust_store_problem():
        raise StorageError(problem)
    context.load_default_certs()
    return context
