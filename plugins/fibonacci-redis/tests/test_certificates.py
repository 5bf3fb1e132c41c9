"""Certificates and keys: unusable ones are refused when the workflow is created."""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from services.certificates import Certificates, certificates
from services.standalone import Redis
from services.tls import TLSTerminator

from fibonacci import ConfigurationError, MemoryConfig, StorageError, Workflow
from fibonacci.plugin import Address

from .conftest import SPACE

KEY = Address(SPACE, "certificates")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Valid certificates, and a key that is encrypted with the password "hunter2"."""
    folder = tmp_path_factory.mktemp("files")
    files = certificates(folder)
    key = serialization.load_pem_private_key(files.client_key.read_bytes(), None)
    sealing = serialization.BestAvailableEncryption(b"hunter2")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "sealed").write_bytes(key.private_bytes(pem, form, sealing))
    (folder / "text").write_text("hello")
    return files


PASSWORD = {"ssl_password": "hunter3"}


def create_workflow(options: dict[str, str], files: Certificates) -> None:
    """Create a workflow, with names of files for their paths."""
    paths = {name: value.format(files.ca.parent) for name, value in options.items()}
    Workflow("w", MemoryConfig("redis", "rediss://localhost:1", options=paths)).close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ssl_ca_certs": "{}/none"}, "'ssl_ca_certs' names '.*/none', and .*No such file"),
        ({"ssl_ca_certs": "{}/text"}, "'ssl_ca_certs' names '.*/text', and .*none in PEM"),
        ({"ssl_ca_path": "{}"}, "'ssl_ca_path' names .* run `openssl rehash`"),
        ({"ssl_ca_data": "hello"}, "'ssl_ca_data' must be certificates in PEM"),
        ({"ssl_certfile": "{}/none"}, "'ssl_certfile' names '.*/none', and .*No such file"),
        ({"ssl_certfile": "{}/client.pem"}, "'ssl_certfile' names .* no private key can be read"),
        ({"ssl_keyfile": "{}/client.key"}, "'ssl_keyfile' needs its certificate: ssl_certfile"),
        (
            {"ssl_certfile": "{}/client.pem", "ssl_keyfile": "{}/stranger.key"},
            "'ssl_keyfile' names '.*/stranger.key', and the key in it is another certificate's",
        ),
        (
            {"ssl_certfile": "{}/client.pem", "ssl_keyfile": "{}/sealed"},
            r"'ssl_keyfile' names .* no password for it is given \(option 'ssl_password'\)",
        ),
        (
            {
                "ssl_certfile": "{}/client.pem",
                "ssl_keyfile": "{}/sealed",
                "ssl_password": "hunter3",
            },
            "'ssl_keyfile' names .*/sealed', and .* with the password that is given",
        ),
        ({"ssl_ciphers": "OTHER"}, "'ssl_ciphers' names no cipher"),
    ],
)
def test_unusable_file_is_refused(
    files: Certificates, options: dict[str, str], message: str
) -> None:
    """The error for an unusable file names the option and the file, but no password (C23)."""
    with pytest.raises(ConfigurationError, match=f"^option {message}") as caught:
        create_workflow(options, files)
    assert "hunter3" not in str(caught.value)


def test_usable_files_are_accepted(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usable files are accepted; without options the environment's trust store is checked."""
    sealed = {"ssl_certfile": "{}/client.pem", "ssl_keyfile": "{}/sealed"}
    create_workflow({**sealed, "ssl_password": "hunter2", "ssl_ciphers": "HIGH"}, files)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    create_workflow({"ssl_ca_data": files.ca.read_text()}, files)
    create_workflow({"ssl_cert_reqs": "none"}, files)
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE names '/none', and .*ssl_ca_cer"):
        create_workflow({}, files)


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory, valkey_server: Redis) -> Iterator[TLSTerminator]:
    """A server whose CA certificate breaks rules that Python checks since 3.13."""
    with TLSTerminator(tmp_path_factory.mktemp("lax"), valkey_server, lax=True) as terminator:
        yield terminator


@pytest.fixture
def strict(lax: TLSTerminator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes SSL contexts as Python 3.13 does."""
    create_default_context = ssl.create_default_context

    def create_strict_context(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = create_default_context(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_strict_context)


@pytest.mark.usefixtures("strict")
def test_strict_verification_error_names_the_option(open_client: Any, lax: TLSTerminator) -> None:
    """The error for a certificate that breaks a rule names the option that disables the check."""
    url, trusted = f"rediss://localhost:{lax.port}", {"ssl_ca_certs": str(lax.certificates.ca)}
    message = (
        r"(Missing|not marked).*since 3.13.*ssl_exclude_verify_flags=VERIFY_X509_STRICT disables"
    )
    with pytest.raises(StorageError, match=message) as caught:
        open_client(url, **trusted)("read", KEY)
    assert type(caught.value) is StorageError
    flags = "[VERIFY_X509_STRICT, VERIFY_X509_PARTIAL_CHAIN]"
    client = open_client(url, **trusted, ssl_exclude_verify_flags=flags)
    assert client("read", KEY) is None
    with pytest.raises(StorageError, match=r"verification failed.*issuer.* See the option ssl_ca"):
        open_client(url, ssl_exclude_verify_flags=flags)("read", KEY)
