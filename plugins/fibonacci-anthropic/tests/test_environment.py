"""Proxies and certificates of the environment: errors are raised before any node runs."""

from pathlib import Path

import pytest

from fibonacci import ConfigurationError, LLMNode, Workflow

from .conftest import KEY
from .fake_service import FakeService, response


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine that runs the tests."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def create_workflow(done: list[str]) -> Workflow:
    workflow = Workflow("w")
    workflow.add_node(LLMNode("first", lambda _: done.append("x") or "x", "Hi"))
    workflow.add_node(LLMNode("n", "claude-x", "Hi", dependencies=["first"]))
    return workflow


def error_message() -> str:
    """Return the error of validate() and execute(), raised before any node ran."""
    messages, done = set(), list[str]()
    for call in (create_workflow(done).validate, create_workflow(done).execute):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert caught.value.__cause__ is None
        messages.add(str(caught.value))
    assert done == []
    return messages.pop()


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_socks_proxy_without_its_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The error for a SOCKS proxy names its variable and two fixes."""
    monkeypatch.setenv(name, "socks5://user:hunter2@127.0.0.1:1080")
    assert error_message() == (
        f"anthropic: {name} is a SOCKS proxy, which requires another package: "
        f"pip install 'httpx2[socks]'. Or unset {name}"
    )


def test_socks_proxy_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A SOCKS proxy is accepted if its package is installed."""
    (tmp_path / "socksio.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    create_workflow([]).validate()


@pytest.mark.parametrize(
    "url", ["ftp://user:hunter2@proxy", "http://proxy:no-port", "socks4://proxy:1080"]
)
def test_unsupported_proxy_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """An unsupported proxy URL is refused, and not quoted."""
    monkeypatch.setenv("HTTP_PROXY", url)
    assert error_message() == (
        "anthropic: HTTP_PROXY is not the URL of a supported proxy: write http://host:port, or "
        "unset HTTP_PROXY"
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
def test_valid_or_unused_proxies_are_accepted(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Lower-case variables win, NO_PROXY=* disables all, and unrelated ones are ignored."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    create_workflow([]).validate()


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
def test_invalid_no_proxy_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, entry: str, host: str
) -> None:
    """A host in NO_PROXY that the SDK can't parse is refused without its credentials."""
    monkeypatch.setenv("NO_PROXY", f"localhost, {entry}")
    assert error_message().startswith(f"anthropic: the SDK can't parse {host!r} in NO_PROXY")
    monkeypatch.setenv("NO_PROXY", f"{entry},*")
    create_workflow([]).validate()


def test_no_proxy_hosts_bypass_the_proxy(
    monkeypatch: pytest.MonkeyPatch, service: FakeService
) -> None:
    """Hosts in NO_PROXY are reached without a proxy, in each supported form."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    excepted = "localhost,.corp,*.corp,::1,10.0.0.0/8,gateway:8080,http://gateway,,127.0.0.1"
    monkeypatch.setenv("no_proxy", excepted)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    service.add_replies(response("yes"))
    assert create_workflow([]).execute()["n"] == "yes"


def test_unreadable_certificates_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error for unreadable certificates names the variable and the reason."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert error_message() == (
        f"anthropic: SSL_CERT_FILE names '{tmp_path}/ca.pem', and no certificate can be read from "
        "it: No such file or directory. Fix it, or unset SSL_CERT_FILE"
    )
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "SSL_CERT_FILE names" in error_message()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert "SSL_CERT_DIR names" in error_message()
    monkeypatch.delenv("SSL_CERT_DIR")
    create_workflow([]).validate()
