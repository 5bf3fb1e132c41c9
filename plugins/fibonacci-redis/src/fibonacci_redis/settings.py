"""The connection URL and the options: parsed and checked."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, int_option, read_options, text_option
from fibonacci.plugin.runtime import host_problem
from fibonacci_redis import tls
from fibonacci_redis.addresses import HostPort, NatMap, parse_nat_map

TopologyName = Literal["standalone", "cluster", "sentinel"]

URL_FORMS: Final = (
    "redis://host:port/db, rediss://, unix:///path, redis+cluster://host:port,host:port or "
    "redis+sentinel://host:port,host:port/service/db"
)
BASE_SCHEMES: Final = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}
"""The part of a scheme before ``+``, and whether it means TLS."""
TOPOLOGIES: Final[dict[str, TopologyName]] = {
    "": "standalone",
    "cluster": "cluster",
    "sentinel": "sentinel",
}
"""The part of a scheme after ``+``."""
DEFAULT_PORTS: Final[dict[TopologyName, int]] = {
    "standalone": 6379,
    "cluster": 6379,
    "sentinel": 26379,
}


def _credential_provider_option(value: Any) -> Any:
    if not callable(getattr(value, "get_credentials", None)):
        raise ValueError("must be a redis.credentials.CredentialProvider")
    return value


SENTINEL_OPTIONS: Final = {"sentinel_username": text_option, "sentinel_password": text_option}
OPTIONS: Final = {
    "db": int_option,
    "credential_provider": _credential_provider_option,
    "nat_map": parse_nat_map,
    **SENTINEL_OPTIONS,
    **tls.OPTIONS,
}

_TIMEOUT: Final = (
    "write MemoryConfig(timeout=…), the seconds for a whole request, including the connection"
)
_REMOVE: Final = "remove it"
_LOGIN: Final = "write it before the host, redis://user:password@host"
_TLS: Final = "write rediss:// instead of redis://"
_FOREIGN_OPTION_HINTS: Final = {
    _TIMEOUT: (
        "timeout socket_timeout socket_connect_timeout connect_timeout connection_timeout "
        "read_timeout command_timeout connectTimeout commandTimeout pool_timeout"
    ),
    f"{_REMOVE} (idle connections are checked)": (
        "health_check_interval socket_keepalive socket_keepalive_options keepAlive idle_timeout"
    ),
    f"{_REMOVE} (requests that were not applied are retried until the timeout)": (
        "retry_on_timeout retry_on_error retry max_retries maxRetriesPerRequest"
    ),
    f"{_REMOVE} (there are as many connections as needed)": (
        "max_connections pool_size poolSize minIdle maxIdle maxTotal"
    ),
    f"{_REMOVE} (the protocol is RESP2)": "protocol",
    f"{_REMOVE} (values are JSON, and text is UTF-8)": (
        "decode_responses encoding encoding_errors charset errors"
    ),
    f"{_REMOVE} (all addresses of the host are tried)": "family",
    f"{_REMOVE} (it is not supported)": (
        "client_name lib_name lib_version clientName readonly abortConnect single_connection_client"
    ),
    _LOGIN: "user username password auth",
    _TLS: "ssl tls",
    "write ssl_cert_reqs=none, or better ssl_ca_certs=FILE with the CA certificates": (
        "insecure skip_verify tlsInsecure rejectUnauthorized"
    ),
    "write db": "database virtual_host defaultDatabase",
    "write the service after the hosts: redis+sentinel://host:port/service/db": (
        "service_name master_name sentinelMasterId sentinel_master_name master mymaster"
    ),
    "write MemoryConfig(key_prefix=…)": "prefix key_prefix keyPrefix namespace global_keyprefix",
}
FOREIGN_OPTIONS: Final = {
    name: hint for hint, names in _FOREIGN_OPTION_HINTS.items() for name in names.split()
}
"""Options of redis-py, kombu, Lettuce, ioredis and others, with what to write instead."""

_SENTINEL_URL: Final = "redis+sentinel://host:port,host:port/service/db"
FOREIGN_SCHEMES: Final = {
    "sentinel": _SENTINEL_URL,
    "redis-sentinel": _SENTINEL_URL,
    "rediss-sentinel": f"rediss{_SENTINEL_URL[5:]}",
    "redis-cluster": "redis+cluster://host:port,host:port",
    "rediss-cluster": "rediss+cluster://host:port,host:port",
    "redis+socket": "unix:///path",
    "redis-socket": "unix:///path",
    "redis+unix": "unix:///path",
    "redis+ssl": "rediss://host:port/db",
    "redis+tls": "rediss://host:port/db",
    "tls": "rediss://host:port/db",
    "https": "rediss://:password@host:port (an https:// URL is for a REST service)",
    "http": "redis://:password@host:port (an http:// URL is for a REST service)",
    "tcp": "redis://host:port/db",
}
"""URL schemes of other tools, with what to write instead."""


class SecretOptions(dict[str, Any]):
    """Options whose repr hides their values: tracebacks may show the variables of their frames."""

    def __repr__(self) -> str:
        return f"<the options {', '.join(self)}>"


@attrs.frozen(kw_only=True)
class RedisSettings:
    """The servers, and how to connect to them."""

    topology: TopologyName
    hosts: tuple[HostPort, ...] = ()
    """The server, some nodes of the cluster, or the sentinels."""
    path: str | None = None
    """Of a unix socket, instead of a host."""
    service: str = ""
    """The name that the sentinels know the servers by."""
    login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    sentinel_login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    tls: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    nat_map: NatMap = attrs.field(factory=dict)
    """Where servers are reached from here, by the addresses that they are announced with."""


def read_settings(settings: StoreSettings) -> RedisSettings:
    """Return the settings. Raises ConfigurationError for a wrong URL or option."""
    url = settings.url
    if url is None:
        raise ConfigurationError(f"backend 'redis' needs a connection URL: {URL_FORMS}")
    topology, is_tls = _parse_scheme(url)
    options = SecretOptions(read_options(settings, OPTIONS, FOREIGN_OPTIONS))
    service, db = _parse_path(url, topology)
    return RedisSettings(
        topology=topology,
        hosts=_parse_hosts(url, topology),
        path=url.path if url.scheme == "unix" else None,
        service=service,
        login=_build_login(url, topology, options, db),
        sentinel_login=_build_sentinel_login(topology, options),
        tls=_build_tls(is_tls, options),
        nat_map=_check_nat_map(topology, options),
    )


def _parse_scheme(url: StoreURL) -> tuple[TopologyName, bool]:
    if url.scheme == "unix":
        return "standalone", False
    base, _, kind = url.scheme.partition("+")
    if base not in BASE_SCHEMES or kind not in TOPOLOGIES:
        form = FOREIGN_SCHEMES.get(url.scheme, URL_FORMS)
        raise ConfigurationError(
            f"backend 'redis' does not support the scheme of this URL: write {form}"
        )
    return TOPOLOGIES[kind], BASE_SCHEMES[base]


def _parse_hosts(url: StoreURL, topology: TopologyName) -> tuple[HostPort, ...]:
    if url.scheme == "unix":
        if url.hosts or url.path in ("", "/"):
            raise ConfigurationError("the URL of a unix socket has three slashes: unix:///path")
        return ()
    if not url.hosts:
        raise ConfigurationError(f"the connection URL has no host: write {URL_FORMS}")
    if topology == "standalone" and len(url.hosts) > 1:
        raise ConfigurationError(
            "redis:// allows only one host: write redis+cluster:// or redis+sentinel:// for several"
        )
    for name, _ in url.hosts:
        if problem := host_problem(name):
            raise ConfigurationError(f"a host in the connection URL {problem}")
    default = DEFAULT_PORTS[topology]
    return tuple((name, default if port is None else port) for name, port in url.hosts)


def _parse_path(url: StoreURL, topology: TopologyName) -> tuple[str, str]:
    """Return the service and the database that the path names."""
    if url.scheme == "unix":
        return "", ""
    parts = url.path.removeprefix("/").split("/")
    if topology != "sentinel":
        service: str = ""
    elif not (service := parts.pop(0)):
        raise ConfigurationError(
            "redis+sentinel:// requires a service: redis+sentinel://host:port/service"
        )
    if len(parts) > 1:
        raise ConfigurationError(f"the connection URL's path is too long: write {URL_FORMS}")
    return service, parts[0] if parts else ""


def _build_login(
    url: StoreURL, topology: TopologyName, options: dict[str, Any], path_db: str
) -> dict[str, Any]:
    db = _choose_db(options.get("db"), path_db)
    if topology == "cluster" and db:
        raise ConfigurationError("a cluster has only database 0: remove the number")
    provider = options.get("credential_provider")
    if provider is not None and (url.username or url.password):
        raise ConfigurationError("set user and password, or a credential_provider: not both")
    login = {
        "username": url.username,
        "password": url.password,
        "credential_provider": provider,
    }
    return {"db": db, **{name: value for name, value in login.items() if value is not None}}


def _choose_db(option: int | None, path: str) -> int:
    try:
        db = int_option(path) if path else option or 0
    except ValueError:
        raise ConfigurationError("the database in the connection URL is not a number") from None
    if option is not None and option != db:
        raise ConfigurationError(
            "the URL's path and the option db name different databases: use one"
        )
    return db


def _build_sentinel_login(topology: TopologyName, options: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in SENTINEL_OPTIONS if name in options]
    login = SecretOptions({name.removeprefix("sentinel_"): options[name] for name in names})
    if login and topology != "sentinel":
        raise ConfigurationError(
            "sentinel_username and sentinel_password require redis+sentinel://"
        )
    return login


def _check_nat_map(topology: TopologyName, options: dict[str, Any]) -> NatMap:
    nat_map: NatMap = options.get("nat_map", {})
    if nat_map and topology == "standalone":
        raise ConfigurationError(
            "nat_map requires redis+cluster:// or redis+sentinel://: a single server is at the "
            "address in the connection URL"
        )
    return nat_map


def _build_tls(is_tls: bool, options: dict[str, Any]) -> dict[str, Any] | None:
    tls_options = SecretOptions({name: options[name] for name in tls.OPTIONS if name in options})
    if not is_tls:
        if tls_options:
            raise ConfigurationError(f"{min(tls_options)} requires TLS: write rediss://")
        return None
    if tls_options.get("ssl_cert_reqs") == "none":
        tls_options["ssl_check_hostname"] = False
    tls_options.setdefault("ssl_check_hostname", True)
    tls.check_options(tls_options)
    return tls_options
