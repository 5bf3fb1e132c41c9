"""One address of a server, and redis-py's connections to it: made, encrypted, authenticated."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import redis
from redis._parsers import Encoder
from redis.connection import PythonRespSerializer, UnixDomainSocketConnection

from fibonacci.plugin.runtime import aresolve_host, raise_for_signal, resolve_host
from fibonacci_redis.addresses import shown
from fibonacci_redis.connections import TcpConnection

# Whoever connects is told to the server in no extra round trips; the argument changed its name.
_QUIET: dict[str, Any] = (
    {"driver_info": None}
    if hasattr(redis, "DriverInfo")
    else {"lib_name": None, "lib_version": None}
)


# Not hiredis, which redis-py takes otherwise: the number of a database is no word; see wire.pack.
_ENCODER: Final = Encoder("utf-8", "strict", False)  # type: ignore[no-untyped-call]
_PACKER: Final = PythonRespSerializer(6000, _ENCODER.encode)


class ProviderFault(Exception):  # noqa: N818 - as Lost and Unsent are
    """A credential provider raised something; its text may hold a secret, its name does not."""


class Provider:
    """An application's credential provider, as redis-py asks it."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def get_credentials(self) -> tuple[Any, ...]:
        """Return user and password, or a password alone. Raises ProviderFault."""
        try:
            return (*self._provider.get_credentials(),)
        except Exception as fault:  # noqa: BLE001 - somebody else's code
            raise_for_signal(fault)
            kind = type(fault).__name__
        raise ProviderFault(f"its credential provider raised {kind}")


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where to connect to, and how."""

    host: str = ""
    port: int = 0
    path: str | None = None
    """Of a unix socket, instead of host and port."""
    tls: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    """The options of TLS; None: no TLS."""
    login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """redis-py's arguments about user and database."""
    only_primary: bool = False
    """Whether a replica is refused. Sentinels have no role, and a cluster's replicas send whoever
    asks them to their primary."""

    def __str__(self) -> str:
        """The server as messages name it."""
        if self.path is not None:
            return f"Redis at {self.path}"
        return f"Redis at {shown(self.host, self.port)}"

    def arguments(self) -> dict[str, Any]:
        """Return what redis-py's connections take: no retries, RESP2, nothing by default."""
        where = (
            {"path": self.path} if self.path is not None else {"host": self.host, "port": self.port}
        )
        fixed = {**_QUIET, "protocol": 2, "retry": None, "command_packer": _PACKER}
        if provider := self.login.get("credential_provider"):
            fixed["credential_provider"] = Provider(provider)
        return {**where, **self.login, **fixed}

    @property
    def driver(self) -> Any:
        """redis-py's class for this kind of connection."""
        return TcpConnection if self.path is None else UnixDomainSocketConnection

    def look_up(self, deadline: float) -> list[str]:
        """Return the host's IP addresses; see :func:`fibonacci.plugin.runtime.resolve_host`."""
        return [] if self.path is not None else resolve_host(self.host, deadline=deadline)

    async def alook_up(self, deadline: float) -> list[str]:
        """Return the same; the event loop goes on meanwhile."""
        return [] if self.path is not None else await aresolve_host(self.host, deadline=deadline)

    @property
    def secured(self) -> bool:
        """Whether it has credentials to show."""
        return bool(self.login.keys() & {"username", "password", "credential_provider"})
