"""HTTP responses, certificates and endpoints, valid and invalid."""

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
from .scripted_servers import ScriptedServer, Serve, request_from, responding

ITEM = b'{"Item": {"pk": {"S": "p"}, "sk": {"S": "k"}, "v": {"B": "MQ=="}}}'
CRC = b"x-amz-crc32: 901018200\r\n"


def reply(body: bytes, headers: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a response with this Content-Length."""
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, size, body)


def url_of(port: int, scheme: str = "http") -> str:
    return f"dynamodb://{REGION}?endpoint_url={scheme}://localhost:{port}"


@pytest.mark.parametrize(
    "response",
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
def test_complete_responses_are_read(open_store: OpenStore, response: bytes):
    """A complete response is read in every form that HTTP allows."""
    with ScriptedServer(responding(response)) as server:
        store = open_store(url_of(server.port))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.parametrize(
    "response",
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
def test_invalid_responses_are_never_absent(open_store: OpenStore, response: bytes):
    """An invalid or truncated response raises; it is never an absent record (C14)."""
    with ScriptedServer(responding(response, once=True)) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError):
            store.read(ADDRESS, deadline=soon())
        with pytest.raises(OutcomeUnknownError):
            store.remove(ADDRESS, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_item_that_boto3_cannot_parse_raises(open_store: OpenStore):
    """An item that boto3 can't parse raises BackendUnavailableError."""
    with ScriptedServer(responding(reply(b'{"Item": {"v": {"B": 1}}}'))) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError, match="TypeError"):
            store.read(ADDRESS, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_error_page_is_reported_by_status(open_store: OpenStore):
    """An HTML error page is reported by its HTTP status, and not quoted."""
    page = b"<html>hunter2</html>"
    gone = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    with ScriptedServer(responding(gone)) as server:
        store = open_store(url_of(server.port))
        with pytest.raises(BackendUnavailableError, match="502") as caught:
            store.read(ADDRESS, deadline=soon())
        assert "hunter2" not in str(caught.value)
        with pytest.raises(OutcomeUnknownError, match="502"):
            store.write(ADDRESS, b"1", None, deadline=soon())
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_bytes_after_a_response_close_the_connection(open_store: OpenStore):
    """Bytes after a response close the connection: they are not the next response (C19)."""
    with ScriptedServer(responding(reply(ITEM) + reply(b"{}"))) as server:
        store = open_store(url_of(server.port))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_endpoint_from_the_environment(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch):
    """Without the option endpoint_url, boto3's own variables set the endpoint."""
    with ScriptedServer(responding(reply(ITEM))) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{server.port}")
        store = open_store(f"dynamodb://{REGION}")
        assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_unknown_host_is_unavailable(open_store: OpenStore):
    """A host that can't be resolved raises BackendUnavailableError."""
    store = open_store(f"dynamodb://{REGION}?endpoint_url=http://nowhere.invalid")
    with pytest.raises(BackendUnavailableError, match="gaierror"):
        store.read(ADDRESS, deadline=soon(8))


def secured(folder: Path) -> Serve:
    """Respond over TLS, to all requests of a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    def serve(client: socket.socket) -> None:
        client.settimeout(5)
        with context.wrap_socket(client, server_side=True) as wrapped:
            while request_from(wrapped):
                wrapped.sendall(reply(ITEM))

    return serve


@pytest.mark.usefixtures("moto_server")
def test_tls_trusts_aws_ca_bundle(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An https:// endpoint is trusted by the authorities in AWS_CA_BUNDLE."""
    files = certificates.certificates(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(files.ca))
    with ScriptedServer(secured(tmp_path)) as server:
        store = open_store(url_of(server.port, "https"))
        for _ in range(3):
            assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_untrusted_certificate_is_reported(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An untrusted certificate raises StorageError with the reason, and nothing is sent."""
    files = certificates.certificates(tmp_path)
    for name in CA_FILE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for bundle in (None, files.other_ca):
        if bundle:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with ScriptedServer(secured(tmp_path)) as server:
            store = open_store(url_of(server.port, "https"))
            with pytest.raises(StorageError, match=r"(self-signed|issuer|verify).* AWS_CA_BUNDLE"):
                store.write(ADDRESS, b"1", None, deadline=soon())
            store.close()


@pytest.mark.usefixtures("moto_server")
def test_certificates_are_not_checked_strictly(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Certificates that violate VERIFY_X509_STRICT are accepted, as boto3 does."""
    plain = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = plain(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.certificates(tmp_path, lax=True).ca))
    with ScriptedServer(secured(tmp_path)) as server:
        store = open_store(url_of(server.port, "https"))
        assert store.read(ADDRESS, deadline=soon()) == b"1"
        store.close()


@pytest.mark.usefixtures("moto_server")
def test_ca_bundle_of_the_config_file_is_checked(
    open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An unreadable ca_bundle in the AWS configuration file is reported by the first call."""
    (tmp_path / "config").write_text("[default]\nca_bundle = /none\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    store = open_store(f"dynamodb://{REGION}?endpoint_url=https://localhost:1")
    with pytest.raises(ConfigurationError, match=r"^ca_bundle in the AWS config.* names '/none'"):
        store.read(ADDRESS, deadline=soon())


@pytest.mark.usefixtures("moto_server")
def test_silent_tls_handshake_ends_at_deadline(open_store: OpenStore):
    """A TLS handshake that never completes ends at the deadline, with nothing sent."""

    def listen(client: socket.socket) -> None:
        while client.recv(65_536):
            pass

    with ScriptedServer(listen) as server:
        store = open_store(url_of(server.port, "https"))
        with pytest.raises(BackendUnavailableError):
            store.write(ADDRESS, b"1", None, deadline=soon(0.3))
        store.close()
