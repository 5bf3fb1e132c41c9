"""Answers, certificates and proxies that are not what they should be."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from services import certificates
from services.dynamodb import REGION

from fibonacci import (
    BackendUnavailableError,
    ConfigurationError,
    OutcomeUnknownError,
    StorageError,
)
from fibonacci_dynamodb.environment import CA_FILE_VARIABLES

from .conftest import ADDRESS, OpenStore, soon
from .listening import Listening, Serve, answering, request_from

ITEM = b'{"Item": {"pk": {"S": "p"}, "sk": {"S": "k"}, "v": {"B": "MQ=="}}}'
CRC = b"x-amz-crc32: 901018200\r\n"


def reply(body: bytes, headers: bytes = b"", *, length: int | None = None) -> bytes:
    """An answer that says it is so long."""
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, size, body)


def url_of(port: int, scheme: str = "http") -> str:
    return f"dynamodb://{REGION}?endpoint_url={scheme}://localhost:{port}"


@pytest.mark.parametrize(
    "given",
    [
        reply(ITEM, CRC),
        reply(ITEM, b"Connection: close\r\n"),
        reply(ITEM + b"\n"),
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ITEM), ITEM),
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(ITEM),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (ITEM[:3], len(ITEM) - 3, ITEM[3:]),
    ],
    ids=["checked", "closing", "newline", "old", "continue", "chunked"],
)
@pytest.mark.usefixtures("moto_server")
def test_whole_answers(open_store: OpenStore, given: bytes):
    """An answer may come in any form of HTTP, as long as it is whole."""
    with Listening(answering(given)) as server:
        store = open_store(url_of(server.port))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.parametrize(
    "given",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + ITEM,
        reply(ITEM, length=len(ITEM) + 1),
        reply(ITEM[:-1], CRC),
        reply(ITEM.replace(b"MQ==", b"Mg=="), CRC),
        reply(b"<html>Log in to this network</html>"),
        reply(b""),
        reply(b'{"Item": }'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (len(ITEM), ITEM[:20]),
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
@pytest.mark.usefixtures("moto_server")
def test_other_answers(open_store: OpenStore, given: bytes):
    """What is not a whole answer of DynamoDB is a fault, and never an absent record (C14)."""
    with Listening(answering(given, once=True)) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError):
            store.read(ADDRESS, deadline=soon())
        with pytest.raises(OutcomeUnknownError):
            store.remove(ADDRESS, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_odd_items(open_store: OpenStore):
    """An item that boto3 can't read is a fault too."""
    with Listening(answering(reply(b'{"Item": {"v": {"B": 1}}}'))) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError, match="TypeError"):
            store.read(ADDRESS, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_error_page(open_store: OpenStore):
    """An error in another language is told by its status, not by its text."""
    page = b"<html>hunter2</html>"
    gone = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    with Listening(answering(gone)) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError, match="502") as caught:
            store.read(ADDRESS, deadline=soon())
        assert "hunter2" not in str(caught.value)
        with pytest.raises(OutcomeUnknownError, match="502"):
            store.write(ADDRESS, b"1", None, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_more_than_was_asked(open_store: OpenStore):
    """Bytes behind an answer end the connection: they are not the next answer (C19)."""
    with Listening(answering(reply(ITEM) + reply(b"{}"))) as server:
        store = open_store(url_of(server.port))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_endpoint_of_the_environment(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """Without the option endpoint_url, boto3's own settings say where requests go."""
    with Listening(answering(reply(ITEM))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{server.port}")
        store = open_store(f"dynamodb://{REGION}")
        assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_no_such_host(open_store: OpenStore):
    """A host that has no address is a server that can't be reached."""
    store = open_store(f"dynamodb://{REGION}?endpoint_url=http://nowhere.invalid")
    with pytest.raises(BackendUnavailableError, match="gaierror"):
        store.read(ADDRESS, deadline=soon(8))


def secured(folder: Path) -> Serve:
    """Answer in TLS, once a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    def serve(client: socket.socket) -> None:
        client.settimeout(5)
        with context.wrap_socket(client, server_side=True) as wrapped:
            while request_from(wrapped):
                wrapped.sendall(reply(ITEM))

    return serve


@pytest.mark.usefixtures("moto_server")
def test_tls(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An endpoint of https:// is spoken to in TLS, by the authorities that AWS_CA_BUNDLE names."""
    made = certificates.certificates(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(made.ca))
    with Listening(secured(tmp_path)) as server:
        store = open_store(url_of(server.port, "https"))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_untrusted(open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A certificate of nobody we trust is told as such, and nothing is sent."""
    made = certificates.certificates(tmp_path)
    for name in CA_FILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for bundle in (None, made.other_ca):
        if bundle:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with Listening(secured(tmp_path)) as server:
            store = open_store(url_of(server.port, "https"))
            with pytest.raises(StorageError, match=r"(self-signed|issuer|verify).* AWS_CA_BUNDLE"):
                store.write(ADDRESS, b"1", None, deadline=soon())
            store.close()


@pytest.mark.usefixtures("moto_server")
def test_rules_of_newer_pythons(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Certificates of old, as proxies of companies show them, are taken as boto3 takes them."""
    plain = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = plain(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.certificates(tmp_path, lax=True).ca))
    with Listening(secured(tmp_path)) as server:
        store = open_store(url_of(server.port, "https"))
        assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_authorities_of_the_configuration(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file that only boto3's configuration names is told at the first use, and once."""
    (tmp_path / "config").write_text("[default]\nca_bundle = /none\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    store = open_store(f"dynamodb://{REGION}?endpoint_url=https://localhost:1")
    with pytest.raises(ConfigurationError, match=r"^ca_bundle in the AWS config.* names '/none'"):
        store.read(ADDRESS, deadline=soon())


@pytest.mark.usefixtures("moto_server")
def test_tls_that_says_nothing(open_store: OpenStore):
    """A handshake that does not come to its end is given up at the deadline, and nothing sent."""

    def listen(client: socket.socket) -> None:
        while client.recv(65_536):
            pass

    with Listening(listen) as server:
        store = open_store(url_of(server.port, "https"))
        with pytest.raises(BackendUnavailableError):
            store.write(ADDRESS, b"1", None, deadline=soon(0.3))
        store.close()
