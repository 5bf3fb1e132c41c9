"""Files of certificates and keys that libpq is to read, looked at when the settings are read."""

import os
import stat
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import (
    ca_file_problem,
    private_key_problem,
    raise_for_signal,
    trust_store_problem,
)
from fibonacci_postgres.parameters import ConnectionParameters

FILES: Final = ("sslrootcert", "sslcert", "sslkey")
_SYSTEM: Final = "system"
"""In the place of a file: whom OpenSSL trusts."""
_DER: Final = b"\x30"
"""How a key begins that is not in PEM, which libpq takes as well."""


def check_files(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for a file that libpq could not use, or would pass over in silence.

    It goes on without a client's certificate where the file is missing.
    """
    given = {name: _given(name, parameters) for name in FILES}
    if not any(given.values()) or parameters.get("sslmode") == "disable":
        return
    for name in ("sslrootcert", "sslcert"):
        file = given[name]
        if file and file != _SYSTEM and (fault := ca_file_problem(file)):
            raise _error(name, file, fault, parameters)
    if given["sslrootcert"] == _SYSTEM and (fault := trust_store_problem()):
        raise ConfigurationError(fault)
    if given["sslkey"] and given["sslcert"] and not _is_elsewhere(given["sslkey"]):
        _check_key(given["sslkey"], given["sslcert"], parameters)


def _given(name: str, parameters: ConnectionParameters) -> str:
    """Return the file that the URL names, or the environment."""
    has = parameters.has(name)
    return parameters.get(name) if has else os.environ.get(f"PG{name.upper()}", "")


def _is_elsewhere(key: str) -> bool:
    """Say whether a key is not in a file: ``engine:name``; a drive has one letter."""
    return len(key.partition(":")[0]) > 1 and ":" in key


def _check_key(key: str, certificate: str, parameters: ConnectionParameters) -> None:
    if _is_der(key):
        return
    password = parameters.get("sslpassword") and (lambda: parameters.get("sslpassword"))
    fault = private_key_problem(key, certificate=certificate, password=password or None)
    if fault and "encrypted" in fault:
        fault += " (option 'sslpassword')"
    if fault := fault or _rights_fault(key):
        raise _error("sslkey", key, fault, parameters)


def _is_der(key: str) -> bool:
    try:
        with open(key, "rb") as file:
            return file.read(1) == _DER
    except (OSError, ValueError) as fault:
        raise_for_signal(fault)
        return False


def _rights_fault(key: str) -> str | None:
    """Return what libpq has against the rights of a file with a key, None if nothing."""
    state = os.stat(key)
    barred = 0o037 if state.st_uid == 0 else 0o077
    if os.name == "nt" or not stat.S_IMODE(state.st_mode) & barred:
        return None
    return "others may read it, which libpq does not allow: chmod 600"


def _error(
    name: str, file: str, fault: str, parameters: ConnectionParameters
) -> ConfigurationError:
    told = f"{parameters.source(name)} names {file!r}, and {fault}"
    return ConfigurationError(parameters.masked(told))
