"""The connection URL and the options, read and checked."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, int_option, read_options, text_option
from fibonacci.plugin.runtime import host_problem
from fibonacci_redis import elsewhere, tls
from fibonacci_redis.addresses import NatMap, nat_map

Topology = Literal["standalone", "cluster", "sentinel"]

FORMS = (
    "redis://host:port/db, rediss://, unix:///path, redis+cluster://host:port,host:port or "
    "redis+sentinel://host:port,host:port/service/db"
)
PORTS: dict[Topology, int] = {"standalone": 6379, "cluster": 6379, "sentinel": 26379}


def _credential_provider(value: Any) -> Any:
    if not callable(getattr(value, "get_credentials", None)):
        raise ValueError("must be a redis.credentials.CredentialProvider")
    return value


SENTINEL = {"sentinel_username": text_option, "sentinel_password": text_option}
OPTIONS = {
    "db": int_option,
    "credential_provider": _credential_provider,
    "nat_map": nat_map,
    **SENTINEL,
    **tls.OPTIONS,
}


class Options(dict[str, Any]):
    """Options by name, some of them secret; tracebacks may show the variables of their frames."""

    def __repr__(self) -> str:
        return f"<the options {', '.join(self)}>"


@attrs.frozen(kw_only=True)
class RedisSettings:
    """Which servers there are, and how to connect to them."""

    topology: Topology
    hosts: tuple[tuple[str, int], ...] = ()
    """The server, some of the cluster's nodes, or the sentinels."""
    path: str | None = None
    """Of a unix socket, instead of a host."""
    service: str = ""
    """What the sentinels call the servers."""
    login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    sentinel_login: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    tls: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    nat_map: NatMap = attrs.field(factory=dict)
    """Where servers are reached from here, by the addresses that they are announced with."""


def read_settings(settings: StoreSettings) -> RedisSettings:
    """Return the settings for redis-py; ConfigurationError where one is wrong."""
    url = settings.url
    if url is None:
        raise ConfigurationError(f"backend 'redis' needs a connection URL: {FORMS}")
    topology, secure = _kind(url)
    options = Options(read_options(settings, OPTIONS, elsewhere.OPTIONS))
    service, db = _path(url, topology)
    return RedisSettings(
        topology=topology,
        hosts=_hosts(url, topology),
        path=url.path if url.scheme == "unix" else None,
        service=service,
        login=_login(url, topology, options, db),
        sentinel_login=_sentinel_login(topology, options),
        tls=_tls(secure, options),
        nat_map=_nat_map(topology, options),
    )


def _kind(url: StoreURL) -> tuple[Topology, bool]:
    base, _, kind = url.scheme.partition("+")
    if base not in ("redis", "rediss", "valkey", "valkeys") or kind not in (
        "",
        "cluster",
        "sentinel",
    ):
        if url.scheme == "unix":
            return "standalone", False
        form = elsewhere.SCHEMES.get(url.scheme, FORMS)
        raise ConfigurationError(f"backend 'redis' has no URLs of this scheme: write {form}")
    topology: Topology = (
        "standalone" if kind == "" else "cluster" if kind == "cluster" else "sentinel"
    )
    return topology, base.endswith("s") and base != "redis"


def _hosts(url: StoreURL, topology: Topology) -> tuple[tuple[str, int], ...]:
    if url.scheme == "unix":
        if url.hosts or url.path in ("", "/"):
            raise ConfigurationError("a unix socket is written with three slashes: unix:///path")
        return ()
    if not url.hosts:
        raise ConfigurationError(f"the connection URL names no host: write {FORMS}")
    if topology == "standalone" and len(url.hosts) > 1:
        raise ConfigurationError(
            "redis:// takes one host; for several write redis+cluster:// or redis+sentinel://"
        )
    for name, _ in url.hosts:
        if fault := host_problem(name):
            raise ConfigurationError(f"a host in the connection URL {fault}")
    port = PORTS[topology]
    return tuple((name, port if given is None else given) for name, given in url.hosts)


def _path(url: StoreURL, topology: Topology) -> tuple[str, str]:
    """The service and the database that the path names."""
    if url.scheme == "unix":
        return "", ""
    parts = url.path.removeprefix("/").split("/")
    if topology != "sentinel":
        service: str = ""
    elif not (service := parts.pop(0)):
        raise ConfigurationError(
            "redis+sentinel:// needs a service: redis+sentinel://host:port/service"
        )
    if len(parts) > 1:
        raise ConfigurationError(f"the connection URL's path is too long: write {FORMS}")
    return service, parts[0] if parts else ""


def _login(
    url: StoreURL, topology: Topology, options: dict[str, Any], path_db: str
) -> dict[str, Any]:
    db = _db(options.get("db"), path_db)
    if topology == "cluster" and db:
        raise ConfigurationError("a cluster has one database: leave the number out")
    provider = options.get("credential_provider")
    if provider is not None and (url.username or url.password):
        raise ConfigurationError("give user and password, or a credential_provider: not both")
    found = {
        "username": url.username,
        "password": url.password,
        "credential_provider": provider,
    }
    return {"db": db, **{name: value for name, value in found.items() if value is not None}}


def _db(option: int | None, path: str) -> int:
    try:
        found = int_option(path) if path else option or 0
    except ValueError:
        raise ConfigurationError("the database in the connection URL is not a number") from None
    if option is not None and option != found:
        raise ConfigurationError(
            "the database is one in the URL's path and another in db: give it once"
        )
    return found


def _sentinel_login(topology: Topology, options: dict[str, Any]) -> dict[str, Any]:
    given = [name for name in SENTINEL if name in options]
    found = Options({name.removeprefix("sentinel_"): options[name] for name in given})
    if found and topology != "sentinel":
        raise ConfigurationError("sentinel_username and sentinel_password need redis+sentinel://")
    return found


def _nat_map(topology: Topology, options: dict[str, Any]) -> NatMap:
    found: NatMap = options.get("nat_map", {})
    if found and topology == "standalone":
        raise ConfigurationError(
            "nat_map needs redis+cluster:// or redis+sentinel://: one server is reached where the "
            "connection URL says"
        )
    return found


def _tls(secure: bool, options: dict[str, Any]) -> dict[str, Any] | None:
    found = Options({name: options[name] for name in tls.OPTIONS if name in options})
    if not secure:
        if found:
            raise ConfigurationError(f"{min(found)} needs TLS: write rediss://")
        return None
    if found.get("ssl_cert_reqs") == "none":
        found["ssl_check_hostname"] = False
    found.setdefault("ssl_check_hostname", True)
    tls.check(found)
    return found
