"""Files of certificates and keys (PEM), checked before a connection needs them.

The results are texts to append after "…, and "; they quote nothing of a file.
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


def ca_directory_problem(directories: str, *, check_names: bool = True) -> str | None:
    """Return why OpenSSL finds no certificate in a directory (or several, as in PATH), or None.

    OpenSSL finds a file by the hash of its subject's name, as ``openssl rehash`` names it; this is
    checked if ``check_names``.
    """
    names: list[str] = []
    errors: list[Exception] = []
    paths = [path for path in directories.split(os.pathsep) if path]  # OpenSSL ignores empty ones
    for path in paths:
        try:
            names += os.listdir(path)
        except (OSError, ValueError) as error:
            raise_for_signal(error)
            errors.append(error)
    if errors and len(errors) == len(paths):
        return f"no certificate can be read from it: {_reason(errors[0])}"
    if check_names and not any(map(_HASHED.fullmatch, names)):
        return "no certificate in it has a name that OpenSSL looks for: run `openssl rehash` on it"
    return None


def trust_store_problem(*, directory_only: bool = False) -> str | None:
    """Return what is wrong with SSL_CERT_FILE or SSL_CERT_DIR, the authorities OpenSSL trusts.

    The result is a sentence that names the variable; None if nothing is wrong. OpenSSL uses both,
    and a default file, so the directory may be empty; unless a client uses the directory only
    (``directory_only``) or the file only.
    """
    checks: dict[str, Callable[[str], str | None]] = {
        "SSL_CERT_FILE": ca_file_problem,
        "SSL_CERT_DIR": partial(ca_directory_problem, check_names=directory_only),
    }
    problems: list[str | None] = []
    for name, check in checks.items():
        if path := os.environ.get(name):
            problem = check(path)
            problems.append(
                problem and f"{name} names {path!r}, and {problem}. Fix it, or unset {name}"
            )
    if directory_only:
        del problems[1:]
    return problems[0] if problems and all(problems) else None


def private_key_problem(
    key: str, *, certificate: str, password: Callable[[], str] | None = None
) -> str | None:
    """Return why the private key of a certificate can't be used; None if it can.

    Both may be in one file. The certificate's file must be valid: check it first. ``password`` is a
    function, so that no frame holds the key's password. The terminal is never prompted for one.
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
    """Return which rule a certificate breaks, from an ``ssl.SSLCertVerificationError``.

    The result also says if it is a rule that Python enforces only since 3.13.
    """
    rule = str(getattr(error, "verify_message", "") or "it can't be verified").rstrip(".")
    if getattr(error, "verify_code", 0) not in _STRICT:
        return rule
    return f"{rule}, a rule of RFC 5280 that Python enforces since 3.13 (VERIFY_X509_STRICT)"


@lru_cache(8)
def _read_authorities(file: str, _: object) -> None:
    """Read a valid file once, until it changes: a system's whole list takes 30 ms."""
    _context().load_verify_locations(cafile=file)


def _context() -> "SSLContext":
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext

    return SSLContext(PROTOCOL_TLS_CLIENT)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "SSLError":
        return "there is none in PEM, or it is damaged"
    return getattr(error, "strerror", None) or "this is not a path"
