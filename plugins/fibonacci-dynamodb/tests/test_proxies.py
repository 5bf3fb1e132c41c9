"""Proxies: found as botocore finds them; one that is not supported is reported early."""

import traceback
from pathlib import Path

import pytest
from services import certificates
from services.dynamodb import REGION

from fibonacci import (
    BackendUnavailableError,
    ConfigurationError,
    MemoryConfig,
    StorageError,
    Workflow,
)
from fibonacci_dynamodb.environment import proxy_for

from .conftest import ADDRESS, OpenStore, soon
from .scripted_servers import ScriptedServer, recording, responding, tunnelling
from .test_secrets import locals_of_ours
from .test_transport import ITEM, reply, secured, url_of

AWS = "https://dynamodb.eu-west-1.amazonaws.com/"
LOGIN = b"Proxy-Authorization: Basic dXNAZXI6aHVudGVyMg==\r\n"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes this machine's own proxy variables."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("proxy.corp:3128", ("proxy.corp", 3128)),
        ("proxy.corp", ("proxy.corp", 80)),
        ("10.1.2.3:3128", ("10.1.2.3", 3128)),
        ("//proxy.corp:3128", ("proxy.corp", 3128)),
        ("HTTP://proxy.corp:3128/", ("proxy.corp", 3128)),
        ("http://[fe80::1]:3128", ("fe80::1", 3128)),
    ],
)
def test_proxy_url_may_lack_scheme_and_port(
    monkeypatch: pytest.MonkeyPatch, url: str, address: tuple[str, int]
):
    """A proxy's URL may lack its scheme and its port."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    proxy = proxy_for(AWS)
    assert proxy is not None
    assert proxy.address == address
    assert proxy_for("http://localhost:8000") is None


@pytest.mark.parametrize(
    ("excepted", "expected"),
    [
        ("*", True),
        ("amazonaws.com", True),
        (".amazonaws.com", True),
        ("localhost, .AmazonAWS.com", True),
        ("dynamodb.eu-west-1.amazonaws.com", True),
        ("aws.com", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_no_proxy_excludes_hosts_and_domains(
    monkeypatch: pytest.MonkeyPatch, excepted: str, *, expected: bool
):
    """NO_PROXY excludes hosts and domains, with or without a leading dot."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert (proxy_for(AWS) is None) is expected


@pytest.mark.parametrize(
    ("proxy_url", "message"),
    [
        ("socks5://user:hunter2@proxy.corp:1080", "names a socks5:// proxy"),
        ("https://user:hunter2@proxy.corp", "names a https:// proxy"),
        ("ftp://hunter2:hunter2@proxy.corp", "not a valid proxy URL"),
        ("http://proxy.corp:hunter2", "not a valid proxy URL"),
        ("user:hunter2", "not a valid proxy URL"),
    ],
)
def test_unsupported_proxy_fails_workflow_creation(
    monkeypatch: pytest.MonkeyPatch, proxy_url: str, message: str
):
    """Workflow() refuses an unsupported proxy: it names the variable, and no password (C23)."""
    monkeypatch.setenv("HTTPS_PROXY", proxy_url)
    for url in (f"dynamodb://{REGION}", f"dynamodb://{REGION}?endpoint_url=https://dynamo.corp"):
        with pytest.raises(ConfigurationError, match=f"HTTPS_PROXY .*{message}.*http://") as caught:
            Workflow("w", MemoryConfig("dynamodb", url))
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in shown.stack if "fibonacci_dynamodb" in frame.filename]
        assert ours
        assert "hunter2" not in str([caught.value, *(frame.locals for frame in ours)])


def test_unrelated_proxy_is_ignored(monkeypatch: pytest.MonkeyPatch):
    """Workflow() ignores a proxy that is not for the endpoint's scheme."""
    config = MemoryConfig("dynamodb", f"dynamodb://{REGION}")
    Workflow("w", config).close()
    monkeypatch.setenv("http_proxy", "socks5://proxy.corp:1080")
    Workflow("w", config).close()


@pytest.mark.usefixtures("moto_server")
def test_unsupported_proxy_fails_first_use(monkeypatch: pytest.MonkeyPatch, open_store: OpenStore):
    """With NO_PROXY set, the first call reports an unsupported proxy for boto3's own endpoint."""
    monkeypatch.setenv("https_proxy", "socks5://proxy.corp:1080")
    monkeypatch.setenv("no_proxy", "localhost")
    with pytest.raises(ConfigurationError, match="https_proxy names a socks5:// proxy"):
        open_store(f"dynamodb://{REGION}").read(ADDRESS, deadline=soon())


@pytest.mark.usefixtures("moto_server")
def test_http_request_is_forwarded_by_the_proxy(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
):
    """A request to an http:// endpoint goes to the proxy with the whole URL."""
    seen: list[bytes] = []
    with ScriptedServer(recording(seen, reply(ITEM))) as proxy:
        monkeypatch.setenv("http_proxy", f"us%40er:hunter2@127.0.0.1:{proxy.port}")
        store = open_store(f"dynamodb://{REGION}?endpoint_url=http://dynamodb.invalid:8000")
        for _ in range(2):
            assert store.read(ADDRESS, deadline=soon(5)) == b"1"
        store.close()
    assert len(seen) == 2
    for request in seen:
        assert request.startswith(b"POST http://dynamodb.invalid:8000/ HTTP/1.1\r\n")
        assert b"\r\nHost: dynamodb.invalid:8000\r\n" in request
        assert LOGIN in request


@pytest.mark.usefixtures("moto_server")
def test_proxy_that_requires_login_is_reported(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
):
    """A proxy that requires a login is reported with the variable to set."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(responding(refusal)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        store = open_store(f"dynamodb://{REGION}?endpoint_url=http://dynamodb.invalid")
        with pytest.raises(StorageError, match=r"407.*HTTP_PROXY=http://user:password@host:port"):
            store.read(ADDRESS, deadline=soon(5))
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_https_goes_through_a_tunnel(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An https:// endpoint is reached through CONNECT; the proxy sees only its address."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.certificates(tmp_path).ca))
    seen: list[bytes] = []
    with (
        ScriptedServer(secured(tmp_path)) as server,
        ScriptedServer(tunnelling(seen, server.port)) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://us%40er:hunter2@127.0.0.1:{proxy.port}")
        store = open_store(url_of(server.port, "https"))
        for _ in range(2):
            assert store.read(ADDRESS, deadline=soon(5)) == b"1"
        store.close()
    assert len(seen) == 1
    assert seen[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    assert LOGIN in seen[0]


@pytest.mark.usefixtures("moto_server")
def test_refused_tunnel_shows_no_password(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """A proxy that refuses CONNECT is reported, and no frame of ours shows its password (C23)."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    with ScriptedServer(responding(refusal, once=True)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://us%40er:hunter2@127.0.0.1:{proxy.port}")
        store = open_store(f"dynamodb://{REGION}?endpoint_url=https://dynamodb.invalid")
        with pytest.raises(
            BackendUnavailableError, match="responded to CONNECT with status 407"
        ) as caught:
            store.write(ADDRESS, b"1", None, deadline=soon())
        store.close()
    shown = locals_of_ours(caught.value)
    assert "proxy" in shown  # these are the right frames
    assert not any(secret in shown for secret in ("hunter2", LOGIN.decode().split()[2]))
