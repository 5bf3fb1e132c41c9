"""Certificate and key files: a Workflow rejects files that libpq can't use."""

import pytest
from cryptography.hazmat.primitives import serialization
from services.certificates import Certificates, certificates

from fibonacci import ConfigurationError, MemoryConfig, Workflow


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Valid files, and keys in other forms; one is encrypted with the password "hunter2"."""
    folder = tmp_path_factory.mktemp("files")
    files = certificates(folder)
    key = serialization.load_pem_private_key(files.client_key.read_bytes(), None)
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    sealing = serialization.BestAvailableEncryption(b"hunter2")
    (folder / "sealed").write_bytes(key.private_bytes(pem, form, sealing))
    (folder / "der").write_bytes(key.private_bytes(der, form, none))
    (folder / "open").write_bytes(files.client_key.read_bytes())
    for name, mode in (("sealed", 0o600), ("der", 0o600), ("open", 0o644)):
        (folder / name).chmod(mode)
    (folder / "text").write_text("hello")
    return files


def create_workflow(query: str, files: Certificates) -> None:
    url = f"postgresql://h/db?{query.replace('~', str(files.ca.parent))}"
    Workflow("w", MemoryConfig("postgres", url)).close()


CLIENT = "sslcert=~/client.pem&sslkey=~"


@pytest.mark.parametrize(
    ("query", "message"),
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
def test_unusable_file_is_rejected(files: Certificates, query: str, message: str) -> None:
    """The error names the option and the file, and never a password (C23)."""
    with pytest.raises(ConfigurationError, match=f"^option {message}") as caught:
        create_workflow(query, files)
    assert "hunter3" not in str(caught.value)


def test_unusable_file_of_the_environment_is_rejected(
    files: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the environment variable; with sslmode=disable the file is not checked."""
    monkeypatch.setenv("PGSSLROOTCERT", "/none")
    with pytest.raises(ConfigurationError, match=r"^PGSSLROOTCERT names '/none', and no cert"):
        create_workflow("", files)
    create_workflow("sslmode=disable", files)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE names '/none', and no cert"):
        create_workflow("sslmode=verify-full&sslrootcert=system", files)


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
def test_usable_files_are_accepted(files: Certificates, query: str) -> None:
    """Files and keys that libpq can use are accepted."""
    create_workflow(query, files)
