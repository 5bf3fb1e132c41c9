"""Certificates and keys: those of no use are told when the workflow is made, with their option."""

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Some that are good, and a key that is sealed with the password "hunter2"."""
    folder = tmp_path_factory.mktemp("made")
    made = certificates(folder)
    key = serialization.load_pem_private_key(made.client_key.read_bytes(), None)
    sealing = serialization.BestAvailableEncryption(b"hunter2")
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "sealed").write_bytes(key.private_bytes(pem, form, sealing))
    (folder / "text").write_text("hello")
    return made


PASSWORD = {"ssl_password": "hunter3"}


def make(options: dict[str, str], made: Certificates) -> None:
    """Make a workflow, with names of files for their paths."""
    paths = {name: value.format(made.ca.parent) for name, value in options.items()}
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
def test_refused(made: Certificates, options: dict[str, str], message: str) -> None:
    """Nothing is connected to; the option and the file are named, and no password (C23)."""
    with pytest.raises(ConfigurationError, match=f"^option {message}") as caught:
        make(options, made)
    assert "hunter3" not in str(caught.value)


def test_taken(made: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be used is taken, and the environment's where no option says whom to trust."""
    sealed = {"ssl_certfile": "{}/client.pem", "ssl_keyfile": "{}/sealed"}
    make({**sealed, "ssl_password": "hunter2", "ssl_ciphers": "HIGH"}, made)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    make({"ssl_ca_data": made.ca.read_text()}, made)
    make({"ssl_cert_reqs": "none"}, made)
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE names '/none', and .*ssl_ca_cer"):
        make({}, made)


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory, valkey_server: Redis) -> Iterator[TLSTerminator]:
    """A server whose authority is as of old."""
    with TLSTerminator(tmp_path_factory.mktemp("lax"), valkey_server, lax=True) as terminator:
        yield terminator


@pytest.fixture
def strict(lax: TLSTerminator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts as Python makes them since 3.13."""
    plain = ssl.create_default_context

    def made(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = plain(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", made)


@pytest.mark.usefixtures("strict")
def test_rules_of_newer_pythons(open_client: Any, lax: TLSTerminator) -> None:
    """The rule that a certificate breaks is told with the option that leaves it out."""
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
