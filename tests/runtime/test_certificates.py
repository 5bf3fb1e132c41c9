"""Files of certificates and keys are checked before a connection needs them."""

import errno
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from services.certificates import Certificates, certificates

from fibonacci.plugin.runtime import (
    ca_directory_problem,
    ca_file_problem,
    private_key_problem,
    trust_store_problem,
)

NOT_PEM = "there is none in PEM, or it is damaged"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Valid certificates and keys."""
    return certificates(tmp_path_factory.mktemp("made"))


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of invalid files."""
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    head, foot = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    (tmp_path / "damaged").write_text(f"{head}\nAAAA\n{foot}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "No such file or directory"),
        ("", "Is a directory"),
        ("a\0b", "this is not a path"),
        ("empty", NOT_PEM),
        ("text", NOT_PEM),
        ("damaged", NOT_PEM),
    ],
)
def test_authorities(made: Certificates, bad: Path, name: str, problem: str):
    """A file without a certificate gets its reason; a changed file is read again."""
    assert ca_file_problem(str(made.ca)) is None
    assert ca_file_problem(f"{bad}/{name}") == f"no certificate can be read from it: {problem}"
    (bad / "empty").write_bytes(made.ca.read_bytes())
    assert ca_file_problem(f"{bad}/empty") is None


def test_a_folder_needs_hashed_names(made: Certificates, bad: Path):
    """A folder of certificates needs the names that OpenSSL looks for."""
    assert ca_directory_problem(f"{bad}/none") == (
        "no certificate can be read from it: No such file or directory"
    )
    assert "run `openssl rehash`" in (ca_directory_problem(str(bad)) or "")
    (bad / "0a1b2c3d.0").symlink_to(made.ca)
    assert ca_directory_problem(f"{made.ca.parent}:{bad}") is None


def test_environment_variables_of_openssl(
    made: Certificates, bad: Path, monkeypatch: pytest.MonkeyPatch
):
    """Problems of the environment's file and folder name the variable and the fix."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", f"{bad}/none")
    assert trust_store_problem() == (
        f"SSL_CERT_DIR names '{bad}/none', and no certificate can be read from it: No such file or "
        "directory. Fix it, or unset SSL_CERT_DIR"
    )
    monkeypatch.setenv("SSL_CERT_DIR", str(bad))
    assert trust_store_problem() is None
    assert "run `openssl rehash`" in (trust_store_problem(directory_only=True) or "")
    monkeypatch.setenv("SSL_CERT_DIR", f"{bad}/none:{bad}:")  # OpenSSL looks into the others
    assert trust_store_problem() is None
    monkeypatch.setenv("SSL_CERT_FILE", f"{bad}/text")
    assert trust_store_problem() is None
    assert (trust_store_problem(directory_only=True) or "").startswith("SSL_CERT_FILE names ")
    monkeypatch.delenv("SSL_CERT_DIR")
    assert (trust_store_problem() or "").startswith("SSL_CERT_FILE names ")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    assert trust_store_problem() is None


def encrypted(made: Certificates, folder: Path) -> str:
    """The client's key, encrypted with the password "hunter2"."""
    key = serialization.load_pem_private_key(made.client_key.read_bytes(), None)
    sealing = serialization.BestAvailableEncryption(b"hunter2")
    path = folder / "encrypted"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)
    )
    return str(path)


def test_a_key_that_fits(made: Certificates, bad: Path):
    """A key fits, encrypted or not, in its own file or in the certificate's."""
    client = str(made.client)
    assert private_key_problem(str(made.client_key), certificate=client) is None
    sealed = encrypted(made, bad)
    assert private_key_problem(sealed, certificate=client, password=lambda: "hunter2") is None
    (bad / "both").write_bytes(made.client.read_bytes() + made.client_key.read_bytes())
    assert private_key_problem(f"{bad}/both", certificate=f"{bad}/both") is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing", "no private key can be read from it: No such file or directory"),
        ("text", "no private key can be read from it: there is none in PEM"),
        ("damaged-key", f"no private key can be read from it: {NOT_PEM}"),
        ("stranger", "the key in it is another certificate's"),
        ("encrypted", "the key in it is encrypted, and no password for it is given"),
    ],
)
def test_a_key_that_does_not_fit(made: Certificates, bad: Path, name: str, problem: str):
    """Each problem gets its own text, and no password is requested at a terminal."""
    encrypted(made, bad)
    (bad / "stranger").symlink_to(made.stranger_key)
    head, foot = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    (bad / "damaged-key").write_text(f"{head}\nAAAA\n{foot}\n")
    assert private_key_problem(f"{bad}/{name}", certificate=str(made.client)) == problem


def test_a_key_with_another_password(made: Certificates, bad: Path):
    """A wrong password is named as the possible cause."""
    sealed = encrypted(made, bad)
    assert private_key_problem(
        sealed, certificate=str(made.client), password=lambda: "hunter3"
    ) == ("no private key can be read from it with the password that is given")


def test_a_transient_error_is_not_cached(made: Certificates, monkeypatch: pytest.MonkeyPatch):
    """A file that could not be read for want of descriptors is read again."""

    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    os.utime(made.ca)  # so it is not known yet
    with monkeypatch.context() as patch:
        patch.setattr("fibonacci.plugin._runtime.certificates._context", full)
        assert "Too many open files" in (ca_file_problem(str(made.ca)) or "")
    assert ca_file_problem(str(made.ca)) is None
