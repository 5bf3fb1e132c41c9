"""An endpoint: the address of a server, and how redis-py connects and authenticates to it."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final

import attrs
import redis
from redis._parsers import Encoder
from redis.connection import Connection as RedisPyConnection
from redis.connection import PythonRespSerializer, UnixDomainSocketConnection

from fibonacci.plugin.runtime import aresolve_host, raise_for_signal, resolve_host, share_deadline
from fibonacci_redis.addresses import format_address
from fibonacci_redis.tls import create_context

# No CLIENT SETINFO, which would take extra round trips; the argument was renamed in redis-py.
_NO_CLIENT_INFO: dict[str, Any] = (
    {"driver_info": None}
    if hasattr(redis, "DriverInfo")
    else {"lib_name": None, "lib_version": None}
)


# Not hiredis, redis-py's default: the number of a database is not bytes or str; see protocol.pack.
_ENCODER: Final = Encoder("utf-8", "strict", False)  # type: ignore[no-untyped-call]
_PACKER: Final = PythonRespSerializer(6000, _ENCODER.encode)


class CredentialProviderError(Exception):
    """A credential provider raised; its message may hold a secret, its class name does not."""


class SafeCredentialProvider:
    """The application's credential provider, with errors that hold no secret."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def get_credentials(self) -> tuple[Any, ...]:
        """Return user and password, or only a password. Raises CredentialProviderError."""
        try:
            return (*self._provider.get_credentials(),)
        except Exception as error:  # noqa: BLE001 - the application's code
            raise_for_signal(error)
            kind = type(error).__name__
        raise CredentialProviderError(f"its credential provider raised {kind}")


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where a server is, and how to connect to it."""

    host: str = ""
    port: int = 0
    path: str | None = None
    """Of a unix socket, instead of host and port."""
    tls: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    """The options of TLS; None: no TLS."""
    login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """redis-py's arguments for user and database."""
    primary_only: bool = False
    """Whether a replica is refused. Sentinels have no role, and a cluster's replicas redirect
    requests to their primary."""

    def __str__(self) -> str:
        """The server's name in messages."""
        if self.path is not None:
            return f"Redis at {self.path}"
        return f"Redis at {format_address(self.host, self.port)}"

    def connection_arguments(self) -> dict[str, Any]:
        """Return arguments for redis-py's connections: no retries, RESP2, no default login."""
        address = (
            {"path": self.path} if self.path is not None else {"host": self.host, "port": self.port}
        )
        fixed = {**_NO_CLIENT_INFO, "protocol": 2, "retry": None, "command_packer": _PACKER}
        if provider := self.login.get("credential_provider"):
            fixed["credential_provider"] = SafeCredentialProvider(provider)
        return {**address, **self.login, **fixed}

    @property
    def connection_class(self) -> Any:
        """redis-py's class for this kind of connection."""
        return TcpConnection if self.path is None else UnixDomainSocketConnection

    def resolve(self, deadline: float) -> list[str]:
        """Return the host's IP addresses; see :func:`fibonacci.plugin.runtime.resolve_host`."""
        return [] if self.path is not None else resolve_host(self.host, deadline=deadline)

    async def aresolve(self, deadline: float) -> list[str]:
        """Return the host's IP addresses, without blocking the event loop."""
        return [] if self.path is not None else await aresolve_host(self.host, deadline=deadline)

    @property
    def has_credentials(self) -> bool:
        """Whether it authenticates."""
        return bool(self.login.keys() & {"username", "password", "credential_provider"})


class TcpConnection(RedisPyConnection):
    """redis-py's connection to one of a host's addresses, with TLS or without.

    The addresses are resolved before: redis-py would resolve the host itself, which no timeout
    bounds. And old versions of redis-py's own class for TLS accept no context.
    """

    def set_addresses(
        self, addresses: Sequence[str], deadline: float, tls: Mapping[str, Any] | None
    ) -> None:
        """Set the addresses to try in turn, the deadline for all of them, and the TLS options."""
        self._addresses = addresses
        self._deadline = deadline
        self._tls = tls

    def _connect(self) -> Any:
        connected = self._connect_to_any()
        if self._tls is None:
            return connected
        try:
            return create_context(self._tls).wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise

    def _connect_to_any(self) -> Any:
        last_error = OSError("the host has no address")
        for number, address in enumerate(self._addresses):
            try:
                return self._connect_to(address, len(self._addresses) - number)
            except OSError as error:
                raise_for_signal(error)
                last_error = error
        raise last_error

    def _connect_to(self, address: str, left: int) -> Any:
        """Connect to the address within its share of the time; ``left`` addresses remain."""
        name = self.host
        self.host = address  # as redis-py's subclasses do: there is no other way to set it
        self.socket_connect_timeout = _timeout(share_deadline(self._deadline, left))
        try:
            connected = super()._connect()  # type: ignore[no-untyped-call]
        finally:
            self.host = name  # the name that the server's certificate must have
        connected.settimeout(_timeout(self._deadline))  # bounds the TLS handshake
        return connected


def _timeout(deadline: float) -> float:
    return max(0.001, deadline - monotonic())  # 0 would mean non-blocking, and so an error
