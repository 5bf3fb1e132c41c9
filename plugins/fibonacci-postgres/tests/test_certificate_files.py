"""Files of certificates and keys: what libpq can't use is told when the workflow is made."""

import pytest
from cryptography.hazmat.primitives import serialization
from services.certificates import Certificates, certificates

from fibonacci import ConfigurationError, MemoryConfig, Workflow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Some that are good, and keys in other forms; one has the password "hunter2"."""
    folder = tmp_path_factory.mktemp("made")
    made = certificates(folder)
    key = serialization.load_pem_private_key(made.client_key.read_bytes(), None)
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    sealing = serialization.BestAvailableEncryption(b"hunter2")
    (folder / "sealed").write_bytes(key.private_bytes(pem, form, sealing))
    (folder / "der").write_bytes(key.private_bytes(der, form, none))
    (folder / "open").write_bytes(made.client_key.read_bytes())
    for name, mode in (("sealed", 0o600), ("der", 0o600), ("open", 0o644)):
        (folder / name).chmod(mode)
    (folder / "text").write_text("hello")
    return made


def make(query: str, made: Certificates) -> None:
    url = f"postgresql://h/db?{query.replace('~', str(made.ca.parent))}"
    Workflow("w", MemoryConfig("postgres", url)).close()


CLIENT = "sslcert=~/client.pem&sslkey=~"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sslrootcert=~/none", "'sslrootcert' names '.*/none', and .*No such file"),
        ("sslrootcert=~/text", "'sslrootcert' names '.*/text', and .*none in PEM"),
        ("sslcert=~/none&sslkey=~/none", "'sslcert' names '.*/none', and .*No such file"),
        (f"{CLIENT}/none", "'sslkey' names '.*/none', and .*No such file"),
        (f"{CLIENT}/text", "'sslkey' names '.*/text', and .*none in PEM"),
        (f"{CLIENT}/stranger.key", "'sslkey' names .* another certificate's"),
        (f"{CLIENT}/sealed", r"'sslkey' names .* is given \(option 'sslpassword'\)"),
        (f"{CLIENT}/sealed&sslpassword=hunter3", "'sslkey' names .* with the password"),
        (f"{CLIENT}/open", "'sslkey' names .* chmod 600"),
    ],
)
def test_refused(made: Certificates, query: str, told: str) -> None:
    """The option and the file are named, and no password (C23)."""
    with pytest.raises(ConfigurationError, match=f"^option {told}") as caught:
        make(query, made)
    assert "hunter3" not in str(caught.value)


def test_refused_variables(made: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the environment names is told with the variable, unless no TLS is spoken."""
    monkeypatch.setenv("PGSSLROOTCERT", "/none")
    with pytest.raises(ConfigurationError, match=r"^PGSSLROOTCERT names '/none', and no cert"):
        make("", made)
    make("sslmode=disable", made)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE names '/none', and no cert"):
        make("sslmode=verify-full&sslrootcert=system", made)


@pytest.mark.parametrize(
    "query",
    [
        f"{CLIENT}/client.key",
        f"{CLIENT}/sealed&sslpassword=hunter2",
        f"{CLIENT}/der",
        "sslcert=~/client.pem&sslkey=pkcs11:token",
        "sslrootcert=~/ca.pem&sslmode=verify-full",
        "sslrootcert=system&sslmode=verify-full",
    ],
)
def test_taken(made: Certificates, query: str) -> None:
    """Whatever libpq takes is left to it."""
    make(query, made)
