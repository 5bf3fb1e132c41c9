"""URLs and options: what they mean, and which are refused."""

import traceback
from typing import Any

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_redis.settings import RedisSettings, read_settings


class Provider:
    def get_credentials(self) -> tuple[str, str]:
        return "user", "token"


def read(url: str, **options: Any) -> RedisSettings:
    return read_settings(StoreSettings(url=StoreURL.parse(url), options=options))


@pytest.mark.parametrize(
    ("url", "hosts", "db"),
    [
        ("redis://db.example", [("db.example", 6379)], 0),
        ("redis://db.example:7000/3", [("db.example", 7000)], 3),
        ("redis://db.example/", [("db.example", 6379)], 0),
        ("valkey://[::1]:7000/3", [("::1", 7000)], 3),
        ("redis://db.example?db=4", [("db.example", 6379)], 4),
        ("redis://db.example/4?db=4", [("db.example", 6379)], 4),
    ],
)
def test_plain_url(url: str, hosts: list[tuple[str, int]], db: int) -> None:
    """A plain URL names the server, and optionally the database."""
    settings = read(url)
    assert settings.topology == "standalone"
    assert list(settings.hosts) == hosts
    assert settings.login["db"] == db
    assert settings.tls is None


def test_unix_socket_url() -> None:
    """The path of a unix:// URL is the socket's."""
    settings = read("unix:///run/redis.sock?db=2")
    assert settings.path == "/run/redis.sock"
    assert settings.login == {"db": 2}


def test_cluster_url() -> None:
    """A cluster URL names some of the nodes."""
    settings = read("redis+cluster://user:pass@a:7000,b,[::1]:7002")
    assert settings.topology == "cluster"
    assert settings.hosts == (("a", 7000), ("b", 6379), ("::1", 7002))
    assert settings.login == {"db": 0, "username": "user", "password": "pass"}


def test_sentinel_url() -> None:
    """A sentinel URL names the sentinels and the service; sentinels have a separate login."""
    settings = read("valkey+sentinel://:secret@a,b:7000/main/5", sentinel_password="other")
    assert settings.topology == "sentinel"
    assert settings.hosts == (("a", 26379), ("b", 7000))
    assert settings.service == "main"
    assert settings.login == {"db": 5, "password": "secret"}
    assert settings.sentinel_login == {"password": "other"}
    assert read("redis+sentinel://a/main").login["db"] == 0


@pytest.mark.parametrize("scheme", ["rediss", "valkeys", "rediss+cluster"])
def test_tls_options(scheme: str) -> None:
    """TLS checks the server's name and certificate by default."""
    assert read(f"{scheme}://a").tls == {"ssl_check_hostname": True}
    unchecked = read(f"{scheme}://a", ssl_ciphers="HIGH", ssl_check_hostname=False)
    assert unchecked.tls == {"ssl_ciphers": "HIGH", "ssl_check_hostname": False}
    blind = read(f"{scheme}://a?ssl_cert_reqs=none")
    assert blind.tls == {"ssl_cert_reqs": "none", "ssl_check_hostname": False}


def test_credential_provider_option() -> None:
    """A credential provider replaces user and password."""
    provider = Provider()
    assert read("redis://a", credential_provider=provider).login == {
        "db": 0,
        "credential_provider": provider,
    }


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://a", "does not support the scheme"),
        ("redis+http://a", "does not support the scheme"),
        ("redis://", "has no host"),
        ("redis://a,b", "allows only one host"),
        ("redis://a/one", "not a number"),
        ("redis://a/1/2", "path is too long"),
        ("redis://a/1?db=2", "name different databases"),
        ("redis+cluster://a/1", "a cluster has only database 0"),
        ("redis+sentinel://a", "requires a service"),
        ("redis+sentinel://a/main/1/2", "path is too long"),
        ("unix://a/run", "three slashes"),
        ("unix://", "three slashes"),
        ("redis://a?ssl_ca_certs=ca.pem", "requires TLS"),
        ("redis://a?sentinel_password=x", "require redis\\+sentinel"),
        ("rediss://a?ssl_cert_reqs=maybe", "must be 'required', 'optional' or 'none'$"),
        ("rediss://a?ssl_cert_reqs=CERT_NONE", "or 'none': write none$"),
        ("rediss://a?ssl_exclude_verify_flags=VERIFY_CRL", "must be VERIFY_X509_STRICT"),
        ("redis://a?socket_timeout=5", "'socket_timeout': write MemoryConfig\\(timeout=…\\)"),
        ("redis://a?health_check_interval=30", "remove it"),
        ("redis://a?protocol=3", "remove it"),
        ("redis://a?decode_responses=true", "remove it"),
        ("redis://a?max_connections=5", "remove it"),
        ("redis://a?retry_on_timeout=true", "remove it"),
        ("redis://a?ssl=true", "write rediss://"),
        ("redis://a?password=hunter2", "write it before the host"),
        ("redis://a?database=2", "write db"),
        ("sentinel://a:26379", "write redis\\+sentinel://"),
        ("redis-sentinel://a:26379/main", "write redis\\+sentinel://"),
        ("redis-cluster://a", "write redis\\+cluster://"),
        ("redis+socket:///run/redis.sock", "write unix:///path"),
        ("https://u.upstash.io", "write rediss://:password@host:port"),
        ("redis://<host>:6379", "a host in the connection URL may contain only letters"),
        (f"redis+cluster://a,{'b' * 64}", "a host in the connection URL is too long"),
        ("redis://a?db=-1", "whole number"),
        ("redis://a?timeout=3", "no option 'timeout'"),
        ("redis://a?dbx=3", "no option 'dbx'. Did you mean 'db'"),
        ("redis://a?credential_provider=x", "must be a redis.credentials"),
    ],
)
def test_invalid_url_or_option_is_refused(url: str, message: str) -> None:
    """An invalid URL or option is refused when the workflow is created, with the fix."""
    with pytest.raises(ConfigurationError, match=message):
        Workflow("w", MemoryConfig(backend="redis", connection_url=url))


def test_password_and_credential_provider_are_refused() -> None:
    """A password together with a credential provider is refused."""
    with pytest.raises(ConfigurationError, match="not both"):
        read("redis://:hunter2@a", credential_provider=Provider())


def test_missing_url_is_refused() -> None:
    """A missing connection URL is refused."""
    with pytest.raises(ConfigurationError, match="needs a connection URL"):
        Workflow("w", MemoryConfig(backend="redis"))


def test_repr_has_no_password() -> None:
    """The repr of settings contains no password (C23)."""
    settings = read("rediss+sentinel://u:hunter2@a/main", sentinel_password="swordfish")
    assert "hunter2" not in repr(settings)
    assert "swordfish" not in repr(settings)


def test_traceback_has_no_password() -> None:
    """A traceback of refused options contains no password, not even in its frames' variables."""
    for url in ("redis://h/0/1", "redis://h"):
        with pytest.raises(ConfigurationError) as raised:
            read(url, ssl_password="hunter2", sentinel_password="hunter2")
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        ours = [frame for frame in shown.stack if "fibonacci_redis" in frame.filename]
        assert "hunter2" not in str([frame.locals for frame in ours])
        assert ours[0].locals
