"""TLS: its options, checked when the settings are read, and the context of a connection."""

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import bool_option, text_option
from fibonacci.plugin.runtime import (
    ca_directory_problem,
    ca_file_problem,
    private_key_problem,
    raise_for_signal,
    trust_store_problem,
)

REQUIREMENTS: Final = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
FLAGS: Final = ("VERIFY_X509_STRICT", "VERIFY_X509_PARTIAL_CHAIN")
"""Flags that Python 3.13 and later set for certificate verification; OpenSSL does not."""


def _cert_reqs_option(value: Any) -> str:
    if isinstance(value, str) and value in REQUIREMENTS:
        return value
    name = str(value).upper().removeprefix("CERT_").lower()
    hint = f": write {name}" if name in REQUIREMENTS else ""
    raise ValueError(f"must be 'required', 'optional' or 'none'{hint}")


def _flags_option(value: Any) -> tuple[str, ...]:
    names = tuple(str(value).strip("[]").replace(" ", "").split(","))
    if not set(names) <= set(FLAGS):
        raise ValueError(f"must be {FLAGS[0]}, {FLAGS[1]}, or both separated by a comma")
    return names


OPTIONS: Final = {
    "ssl_ca_certs": text_option,
    "ssl_ca_path": text_option,
    "ssl_ca_data": text_option,
    "ssl_certfile": text_option,
    "ssl_keyfile": text_option,
    "ssl_password": text_option,
    "ssl_cert_reqs": _cert_reqs_option,
    "ssl_check_hostname": bool_option,
    "ssl_ciphers": text_option,
    "ssl_exclude_verify_flags": _flags_option,
}


def create_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context for a connection; reads the files again, as they may have changed."""
    context = ssl.create_default_context()
    _apply(options, context)
    return context


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for a file that can't be used, or for unknown ciphers."""
    _check_authorities(options)
    _check_key(options)
    for name, problem in _PROBLEMS.items():
        if name in options and not _is_accepted({name: options[name]}):
            raise ConfigurationError(f"option {name!r} {problem}")


_PROBLEMS: Final = {
    "ssl_ca_data": "must be certificates in PEM format: it has none, or a damaged one",
    "ssl_ciphers": "names no cipher of the installed OpenSSL: see `openssl ciphers`",
}


def _is_accepted(options: Mapping[str, Any]) -> bool:
    try:
        _apply(options, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except (OSError, ValueError, TypeError) as error:
        raise_for_signal(error)
        return False
    return True


def _apply(options: Mapping[str, Any], context: ssl.SSLContext) -> None:
    context.check_hostname = options.get("ssl_check_hostname", True)
    context.verify_mode = REQUIREMENTS[options.get("ssl_cert_reqs", "required")]
    for name in options.get("ssl_exclude_verify_flags", ()):
        context.verify_flags &= ~ssl.VerifyFlags[name]
    if certificate := options.get("ssl_certfile"):
        context.load_cert_chain(
            certificate, options.get("ssl_keyfile"), lambda: options.get("ssl_password", "")
        )
    trusted = [options.get(name) for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_ca_data")]
    if any(trusted):
        context.load_verify_locations(*trusted)
    if ciphers := options.get("ssl_ciphers"):
        context.set_ciphers(ciphers)


def _check_authorities(options: Mapping[str, Any]) -> None:
    checks: dict[str, Callable[[str], str | None]] = {
        "ssl_ca_certs": ca_file_problem,
        "ssl_ca_path": ca_directory_problem,
    }
    names = [name for name in checks if name in options]
    for name in names:
        if problem := checks[name](options[name]):
            raise ConfigurationError(f"option {name!r} names {options[name]!r}, and {problem}")
    uses_default = not names and "ssl_ca_data" not in options
    needs_authorities = options.get("ssl_cert_reqs") != "none"
    if uses_default and needs_authorities and (problem := trust_store_problem()):
        raise ConfigurationError(
            f"{problem}. Or set option 'ssl_ca_certs' to the certificates to trust"
        )


def _check_key(options: Mapping[str, Any]) -> None:
    certificate = options.get("ssl_certfile")
    if certificate is None:
        if "ssl_keyfile" in options:
            raise ConfigurationError("option 'ssl_keyfile' needs its certificate: ssl_certfile")
        return
    if problem := ca_file_problem(certificate):
        raise ConfigurationError(f"option 'ssl_certfile' names {certificate!r}, and {problem}")
    name = "ssl_keyfile" if "ssl_keyfile" in options else "ssl_certfile"
    password = (lambda: str(options["ssl_password"])) if "ssl_password" in options else None
    if problem := private_key_problem(options[name], certificate=certificate, password=password):
        hint = "" if password else " (option 'ssl_password')" if "encrypted" in problem else ""
        raise ConfigurationError(f"option {name!r} names {options[name]!r}, and {problem}{hint}")
