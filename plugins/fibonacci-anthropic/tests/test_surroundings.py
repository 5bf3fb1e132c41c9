"""Proxies and certificates of the environment: what can't work is told before any node runs."""

from pathlib import Path

import pytest

from fibonacci import ConfigurationError, LLMNode, Workflow

from .conftest import KEY
from .wire import Wire, answer


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """None but those of a test."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def workflow(done: list[str]) -> Workflow:
    made = Workflow("w")
    made.add_node(LLMNode("first", lambda _: done.append("x") or "x", "Hi"))
    made.add_node(LLMNode("n", "claude-x", "Hi", dependencies=["first"]))
    return made


def refused() -> str:
    """What is said, by both, before anything ran."""
    told, done = set(), list[str]()
    for begin in (workflow(done).validate, workflow(done).execute):
        with pytest.raises(ConfigurationError) as caught:
            begin()
        assert caught.value.__cause__ is None
        told.add(str(caught.value))
    assert done == []
    return told.pop()


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_a_socks_proxy_without_its_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The variable is named, and two ways out."""
    monkeypatch.setenv(name, "socks5://user:hunter2@127.0.0.1:1080")
    assert refused() == (
        f"anthropic: {name} names a SOCKS proxy, and that needs another package: "
        f"pip install 'httpx2[socks]'. Or unset {name}"
    )


def test_a_socks_proxy_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the package is there, nothing is said."""
    (tmp_path / "socksio.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    workflow([]).validate()


@pytest.mark.parametrize(
    "url", ["ftp://user:hunter2@proxy", "http://proxy:no-port", "socks4://proxy:1080"]
)
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What the client can't be made with is told, and not quoted."""
    monkeypatch.setenv("HTTP_PROXY", url)
    assert refused() == (
        "anthropic: HTTP_PROXY names no proxy that can be used: write http://host:port, or unset "
        "HTTP_PROXY"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTPS_PROXY": "proxy.example:3128", "http_proxy": "http://u:p@proxy"},
        {"ALL_PROXY": "socks5://proxy", "all_proxy": ""},
        {"ALL_PROXY": "socks5://proxy", "NO_PROXY": "example.com, *"},
        {"FTP_PROXY": "socks5://proxy"},
    ],
)
def test_proxies_that_work_or_are_not_used(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Small letters count more, a star takes them all away, and others are none of ours."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    workflow([]).validate()


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("fd00::/8", "fd00::/8"),
        ("[::1]", "[::1]"),
        ("gateway:port", "gateway:port"),
        ("é.example", "é.example"),
        ("http://gateway:port", "http://gateway:port"),
        ("http://user:hunter2@gateway:port", "gateway:port"),
    ],
)
def test_exceptions_that_are_no_hosts(
    monkeypatch: pytest.MonkeyPatch, entry: str, host: str
) -> None:
    """What no client can be made with is told, also where no proxy is named; its login is not."""
    monkeypatch.setenv("NO_PROXY", f"localhost, {entry}")
    assert refused().startswith(f"anthropic: NO_PROXY names {host!r}, which the SDK can't read")
    monkeypatch.setenv("NO_PROXY", f"{entry},*")
    workflow([]).validate()


def test_exceptions(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    """Others are reached without a proxy, in whatever form they are written."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    excepted = "localhost,.corp,*.corp,::1,10.0.0.0/8,gateway:8080,http://gateway,,127.0.0.1"
    monkeypatch.setenv("no_proxy", excepted)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", wire.url)
    wire.plays(answer("yes"))
    assert workflow([]).execute()["n"] == "yes"


def test_certificates_that_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable is named, and why nothing can be read."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert refused() == (
        f"anthropic: SSL_CERT_FILE names '{tmp_path}/ca.pem', and no certificate can be read from "
        "it: No such file or directory. Fix it, or unset SSL_CERT_FILE"
    )
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "SSL_CERT_FILE names" in refused()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert "SSL_CERT_DIR names" in refused()
    monkeypatch.delenv("SSL_CERT_DIR")
    workflow([]).validate()
