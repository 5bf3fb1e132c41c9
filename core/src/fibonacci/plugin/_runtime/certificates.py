"""Files of certificates and keys (PEM), looked at before a connection needs them.

What the functions return goes on behind "…, and ", and quotes nothing of a file.
"""

import os
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from fibonacci.plugin._runtime.signals import raise_for_signal

if TYPE_CHECKING:
    from ssl import SSLContext

# OpenSSL looks authorities up by a hash of their names.
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")

_STRICT: Final = range(80, 94)
"""OpenSSL's numbers of the rules of RFC 5280 that VERIFY_X509_STRICT adds (x509_vfy.h)."""


def ca_file_problem(file: str) -> str | None:
    """Return why no certificate can be read from a file; None if one can."""
    try:
        state = os.stat(file)
        _read_authorities(file, (state.st_ctime_ns, state.st_ino))
    except (OSError, ValueError) as error:
        raise_for_signal(error)
        return f"no certificate can be read from it: {_reason(error)}"
    return None


def ca_directory_problem(folders: str, *, hashed: bool = True) -> str | None:
    """Return why OpenSSL finds no certificate in a folder (or several, as in PATH); None if it can.

    There a file has to be named by the hash of its owner's name, as ``openssl rehash`` does; that
    is looked at if ``hashed``.
    """
    names: list[str] = []
    errors: list[Exception] = []
    given = [one for one in folders.split(os.pathsep) if one]  # OpenSSL passes over the others
    for one in given:
        try:
            names += os.listdir(one)
        except (OSError, ValueError) as error:
            raise_for_signal(error)
            errors.append(error)
    if errors and len(errors) == len(given):
        return f"no certificate can be read from it: {_reason(errors[0])}"
    if hashed and not any(map(_HASHED.fullmatch, names)):
        return "no certificate in it has a name that OpenSSL looks for: run `openssl rehash` on it"
    return None


def trust_store_problem(*, folder_alone: bool = False) -> str | None:
    """Return what is wrong with SSL_CERT_FILE or SSL_CERT_DIR, which name whom OpenSSL trusts.

    The answer is a sentence with the variable's name in it; None if nothing is wrong. OpenSSL looks
    into both, and has a file by default as well, so a folder may hold nothing; unless a client
    takes the ``folder_alone``, or the file.
    """
    looks: dict[str, Callable[[str], str | None]] = {
        "SSL_CERT_FILE": ca_file_problem,
        "SSL_CERT_DIR": partial(ca_directory_problem, hashed=folder_alone),
    }
    told: list[str | None] = []
    for name, look in looks.items():
        if given := os.environ.get(name):
            error = look(given)
            told.append(error and f"{name} names {given!r}, and {error}. Mend it, or unset {name}")
    if folder_alone:
        del told[1:]
    return told[0] if told and all(told) else None


def private_key_problem(
    key: str, *, certificate: str, password: Callable[[], str] | None = None
) -> str | None:
    """Return why the key of a certificate can't be used; None if it can.

    Both may be in one file; the certificate's was found to be good. ``password`` returns the key's,
    so that no frame holds it. Nobody is asked for one at the terminal.
    """
    try:
        if not _holds(b"PRIVATE KEY-----", key):
            return "no private key can be read from it: there is none in PEM"
        if password is None and _holds(b"ENCRYPTED", key):
            return "the key in it is encrypted, and no password for it is given"
        _context().load_cert_chain(certificate, key, password or "")
    except (OSError, ValueError) as error:
        raise_for_signal(error)
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            return "the key in it is another certificate's"
        if password is not None and type(error).__name__ == "SSLError":
            return "no private key can be read from it with the password that is given"
        return f"no private key can be read from it: {_reason(error)}"
    return None


def _holds(sign: bytes, file: str) -> bool:
    with open(file, "rb") as opened:
        return sign in opened.read()


def verification_failure(error: BaseException) -> str:
    """Return which rule a certificate breaks, of an ``ssl.SSLCertVerificationError``.

    Where it is one that Python insists on since 3.13 alone, that is said, too.
    """
    rule = str(getattr(error, "verify_message", "") or "it can't be verified").rstrip(".")
    if getattr(error, "verify_code", 0) not in _STRICT:
        return rule
    return f"{rule}, a rule of RFC 5280 that Python insists on since 3.13 (VERIFY_X509_STRICT)"


@lru_cache(8)
def _read_authorities(file: str, _: object) -> None:
    """Read a good file once, while it stays as it is: a machine's whole list takes 30 ms."""
    _context().load_verify_locations(cafile=file)


def _context() -> "SSLContext":
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext

    return SSLContext(PROTOCOL_TLS_CLIENT)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "SSLError":
        return "there is none in PEM, or it is damaged"
    return getattr(error, "strerror", None) or "that is no path"
