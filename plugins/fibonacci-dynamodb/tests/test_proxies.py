"""Proxies: as botocore reads the environment; one that can't be spoken to is told at once."""

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
from .listening import Listening, answering, connecting, noting
from .test_secrets import locals_of_ours
from .test_transport import ITEM, reply, secured, url_of

AWS = "https://dynamodb.eu-west-1.amazonaws.com/"
LOGIN = b"Proxy-Authorization: Basic dXNAZXI6aHVudGVyMg==\r\n"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine counts."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("proxy.corp:3128", ("proxy.corp", 3128)),
        ("proxy.corp", ("proxy.corp", 80)),
        ("10.1.2.3:3128", ("10.1.2.3", 3128)),
        ("//proxy.corp:3128", ("proxy.corp", 3128)),
        ("HTTP://proxy.corp:3128/", ("proxy.corp", 3128)),
        ("http://[fe80::1]:3128", ("fe80::1", 3128)),
    ],
)
def test_read(monkeypatch: pytest.MonkeyPatch, given: str, address: tuple[str, int]):
    """A proxy's address may lack its scheme and its port."""
    monkeypatch.setenv("HTTPS_PROXY", given)
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
def test_excepted(monkeypatch: pytest.MonkeyPatch, excepted: str, *, expected: bool):
    """NO_PROXY takes hosts and domains, with a dot before them or without."""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert (proxy_for(AWS) is None) is expected


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("socks5://user:hunter2@proxy.corp:1080", "names a socks5:// proxy"),
        ("https://user:hunter2@proxy.corp", "names a https:// proxy"),
        ("ftp://hunter2:hunter2@proxy.corp", "not a valid proxy URL"),
        ("http://proxy.corp:hunter2", "not a valid proxy URL"),
        ("user:hunter2", "not a valid proxy URL"),
    ],
)
def test_told_when_the_workflow_is_made(monkeypatch: pytest.MonkeyPatch, given: str, told: str):
    """A proxy of another kind is told with its variable and the way out, and no password (C23)."""
    monkeypatch.setenv("HTTPS_PROXY", given)
    for url in (f"dynamodb://{REGION}", f"dynamodb://{REGION}?endpoint_url=https://dynamo.corp"):
        with pytest.raises(ConfigurationError, match=f"HTTPS_PROXY .*{told}.*http://") as caught:
            Workflow("w", MemoryConfig("dynamodb", url))
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in shown.stack if "fibonacci_dynamodb" in frame.filename]
        assert ours
        assert "hunter2" not in str([caught.value, *(frame.locals for frame in ours)])


def test_none(monkeypatch: pytest.MonkeyPatch):
    """Where there is no proxy for an endpoint, a workflow can be made, whatever others are for."""
    config = MemoryConfig("dynamodb", f"dynamodb://{REGION}")
    Workflow("w", config).close()
    monkeypatch.setenv("http_proxy", "socks5://proxy.corp:1080")
    Workflow("w", config).close()


@pytest.mark.usefixtures("moto_server")
def test_told_at_the_first_use(monkeypatch: pytest.MonkeyPatch, open_store: OpenStore):
    """Where only boto3 knows whether an endpoint is excepted, the first use tells it as well."""
    monkeypatch.setenv("https_proxy", "socks5://proxy.corp:1080")
    monkeypatch.setenv("no_proxy", "localhost")
    with pytest.raises(ConfigurationError, match="https_proxy names a socks5:// proxy"):
        open_store(f"dynamodb://{REGION}").read(ADDRESS, deadline=soon())


@pytest.mark.usefixtures("moto_server")
def test_plain(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """A request to an endpoint in plain HTTP is the proxy's to pass on: it has the whole URL."""
    seen: list[bytes] = []
    with Listening(noting(seen, reply(ITEM))) as proxy:
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
def test_plain_refused(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """A proxy that wants a login is told as such."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with Listening(answering(refusal)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        store = open_store(f"dynamodb://{REGION}?endpoint_url=http://dynamodb.invalid")
        with pytest.raises(StorageError, match=r"407.*HTTP_PROXY=http://user:password@host:port"):
            store.read(ADDRESS, deadline=soon(5))
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_secure(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An endpoint in TLS is connected to by the proxy, which sees no more than its address."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.certificates(tmp_path).ca))
    seen: list[bytes] = []
    with (
        Listening(secured(tmp_path)) as server,
        Listening(connecting(seen, server.port)) as proxy,
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
def test_secure_refused(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """A proxy that does not connect is told, and shows no password in a frame of ours (C23)."""
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    with Listening(answering(refusal, once=True)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://us%40er:hunter2@127.0.0.1:{proxy.port}")
        store = open_store(f"dynamodb://{REGION}?endpoint_url=https://dynamodb.invalid")
        with pytest.raises(
            BackendUnavailableError, match="responded to CONNECT with status 407"
        ) as caught:
            store.write(ADDRESS, b"1", None, deadline=soon())
        store.close()
    shown = locals_of_ours(caught.value)
    assert "proxy" in shown  # it is those frames
    assert not any(secret in shown for secret in ("hunter2", LOGIN.decode().split()[2]))
