"""URLs and options: what they mean, and what is refused."""

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
def test_standalone(url: str, hosts: list[tuple[str, int]], db: int) -> None:
    """A URL names the server, and perhaps the database."""
    settings = read(url)
    assert settings.topology == "standalone"
    assert list(settings.hosts) == hosts
    assert settings.login["db"] == db
    assert settings.tls is None


def test_unix() -> None:
    """A unix socket's path is the URL's."""
    settings = read("unix:///run/redis.sock?db=2")
    assert settings.path == "/run/redis.sock"
    assert settings.login == {"db": 2}


def test_cluster() -> None:
    """Some of a cluster's nodes are enough."""
    settings = read("redis+cluster://user:pass@a:7000,b,[::1]:7002")
    assert settings.topology == "cluster"
    assert settings.hosts == (("a", 7000), ("b", 6379), ("::1", 7002))
    assert settings.login == {"db": 0, "username": "user", "password": "pass"}


def test_sentinel() -> None:
    """Sentinels are named with the service, and have a login of their own."""
    settings = read("valkey+sentinel://:secret@a,b:7000/main/5", sentinel_password="other")
    assert settings.topology == "sentinel"
    assert settings.hosts == (("a", 26379), ("b", 7000))
    assert settings.service == "main"
    assert settings.login == {"db": 5, "password": "secret"}
    assert settings.sentinel_login == {"password": "other"}
    assert read("redis+sentinel://a/main").login["db"] == 0


@pytest.mark.parametrize("scheme", ["rediss", "valkeys", "rediss+cluster"])
def test_tls(scheme: str) -> None:
    """TLS checks the server's name and certificate, unless it is told not to."""
    assert read(f"{scheme}://a").tls == {"ssl_check_hostname": True}
    unchecked = read(f"{scheme}://a", ssl_ciphers="HIGH", ssl_check_hostname=False)
    assert unchecked.tls == {"ssl_ciphers": "HIGH", "ssl_check_hostname": False}
    blind = read(f"{scheme}://a?ssl_cert_reqs=none")
    assert blind.tls == {"ssl_cert_reqs": "none", "ssl_check_hostname": False}


def test_credential_provider() -> None:
    """A credential provider takes the place of user and password."""
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
        ("redis://<host>:6379", "a host in the connection URL may hold letters"),
        (f"redis+cluster://a,{'b' * 64}", "a host in the connection URL is too long"),
        ("redis://a?db=-1", "whole number"),
        ("redis://a?timeout=3", "no option 'timeout'"),
        ("redis://a?dbx=3", "no option 'dbx'. Did you mean 'db'"),
        ("redis://a?credential_provider=x", "must be a redis.credentials"),
    ],
)
def test_refused(url: str, message: str) -> None:
    """What can't be meant is refused when the workflow is made, and says how to write it."""
    with pytest.raises(ConfigurationError, match=message):
        Workflow("w", MemoryConfig(backend="redis", connection_url=url))


def test_two_logins() -> None:
    """A password and a credential provider are not both taken."""
    with pytest.raises(ConfigurationError, match="not both"):
        read("redis://:hunter2@a", credential_provider=Provider())


def test_no_url() -> None:
    """A server has to be named."""
    with pytest.raises(ConfigurationError, match="needs a connection URL"):
        Workflow("w", MemoryConfig(backend="redis"))


def test_nothing_secret_in_repr() -> None:
    """Settings print without passwords (C23)."""
    settings = read("rediss+sentinel://u:hunter2@a/main", sentinel_password="swordfish")
    assert "hunter2" not in repr(settings)
    assert "swordfish" not in repr(settings)


def test_no_secret_in_frames() -> None:
    """Options that are refused are shown by no traceback, not even with its frames' variables."""
    for url in ("redis://h/0/1", "redis://h"):
        with pytest.raises(ConfigurationError) as raised:
            read(url, ssl_password="hunter2", sentinel_password="hunter2")
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        ours = [one for one in shown.stack if "fibonacci_redis" in one.filename]
        assert "hunter2" not in str([one.locals for one in ours])
        assert ours[0].locals
