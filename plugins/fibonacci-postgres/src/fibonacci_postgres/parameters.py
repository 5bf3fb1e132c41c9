"""Connection parameters for libpq, and what is checked about them before connecting."""

import os
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import (
    ca_file_problem,
    host_problem,
    private_key_problem,
    raise_for_signal,
    trust_store_problem,
)

_NO_SOCKET: Final = "/nowhere/fibonacci"
"""A host that does not exist, so that libpq checks its parameters but does not connect."""
_INTEGER_PARAMETERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""libpq parses these as integers, and only after it has started to connect."""
_VALUE_RULES: Final = {
    "sslmode": (
        "must be disable, allow, prefer, require, verify-ca or verify-full (no-verify of "
        "node-postgres is require)"
    ),
    "target_session_attrs": (
        "must be any, read-write, read-only, primary, standby or prefer-standby"
    ),
    "channel_binding": "must be require, prefer or disable",
    "service": "is not in libpq's service file",
}
"""What is valid for a parameter, if that is short."""
_FILE_PARAMETERS: Final = ("sslrootcert", "sslcert", "sslkey")
_SYSTEM_TRUST: Final = "system"
"""A value of sslrootcert that stands for OpenSSL's trust store instead of a file."""
_DER: Final = b"\x30"
"""The first byte of a key in DER, which libpq accepts as well as PEM."""


@attrs.frozen(repr=False)
class ConnectionParameters:
    """Connection parameters by their libpq names; they may contain a password.

    Not a mapping, and without its values in the repr: error reporters show the variables of each
    function in a traceback, and the items of mappings.
    """

    _values: Mapping[str, str] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(self._values)}>"

    def get(self, name: str) -> str:
        """Return a parameter's value, or libpq's default if it is not set here."""
        from fibonacci_postgres.driver import environment_default  # its import takes 0.2 s

        return self._values.get(name) or environment_default(name)

    def has(self, name: str) -> bool:
        """Return whether a parameter is set here."""
        return name in self._values

    def replace(self, **values: str) -> "ConnectionParameters":
        """Return a copy with some values set."""
        return ConnectionParameters({**self._values, **values})

    def with_options(self, options: str) -> "ConnectionParameters":
        """Return a copy with options for the session; the user's options take precedence.

        Returns itself if there is a service file: its options would be replaced.
        """
        if self.get("service"):
            return self
        return self.replace(options=f"{options} {self.get('options')}".rstrip())

    def to_conninfo(self, defaults: Mapping[str, str]) -> bytes:
        """Return the connection string for libpq; ``defaults`` apply to parameters not set here."""
        from fibonacci_postgres.driver import make_conninfo

        return make_conninfo({**defaults, **self._values})

    def find_invalid(self) -> str | None:
        """Return the name of a parameter whose value libpq rejects.

        None if all are valid; "" if libpq does not name the parameter. libpq checks them before it
        connects. So that it does nothing else, the host is a socket that does not exist, and the
        encryption is one that libpq allows on sockets.
        """
        from fibonacci_postgres.driver import find_parameter_name, pq

        probe = self.replace(host=_NO_SOCKET, hostaddr="", port="")
        if self.get("gssencmode") in ("", "require"):  # "" may be in a service file
            probe = probe.replace(gssencmode="prefer")
        pgconn = pq.PGconn.connect_start(probe.to_conninfo({}))
        message = pgconn.error_message.decode(errors="replace")
        return None if _NO_SOCKET in message else find_parameter_name(message)

    def source(self, name: str) -> str:
        """Return where a value comes from, as errors name it: an option or a variable."""
        from fibonacci_postgres.driver import environment_variable

        variable = environment_variable(name)
        if self.has(name) or not os.environ.get(variable):
            return f"option {name!r}"
        return variable

    def mask_secrets(self, message: str) -> str:
        """Return a message of libpq on one line, with all secrets of these parameters masked."""
        from fibonacci_postgres.driver import secret_parameter_names

        for name in secret_parameter_names():
            if self.get(name):
                message = message.replace(self.get(name), "***")
        return " ".join(message.split())


def check_values(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for a value that libpq rejects."""
    for name in _INTEGER_PARAMETERS:
        if parameters.has(name) and not parameters.get(name).removeprefix("-").isdigit():
            raise ConfigurationError(f"option {name!r} must be a whole number")
    invalid = parameters.find_invalid()
    if invalid is not None:
        rule = _VALUE_RULES.get(invalid, "has a value that libpq does not accept")
        subject = parameters.source(invalid) if invalid else "a parameter of libpq"
        raise ConfigurationError(f"{subject} {rule}")


def check_hosts(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for invalid hosts, addresses and ports, or if their counts differ.

    They come from the parts of the URL or from its query.
    """
    lists = {name: _split(name, parameters) for name in ("host", "hostaddr", "port")}
    for host in filter(None, lists["host"]):
        problem = None if host.startswith(("/", "@")) else host_problem(host)  # a unix socket
        if problem is not None:
            raise ConfigurationError(f"a host in the connection URL {problem}")
    if not all(map(_is_address, filter(None, lists["hostaddr"]))):
        raise ConfigurationError("option 'hostaddr' must be an IP address: use 'host' for a name")
    if not all(map(_is_port, filter(None, lists["port"]))):
        raise ConfigurationError("a port in the connection URL must be a number from 1 to 65535")
    count = max(len(lists["host"]), len(lists["hostaddr"]))
    for name, values in lists.items():
        if count and len(values) not in (0, 1, count):
            raise ConfigurationError(
                f"the connection URL has {count} hosts, but {len(values)} of {name}: set one for "
                f"all hosts, or one for each"
            )


def _split(name: str, parameters: ConnectionParameters) -> list[str]:
    return parameters.get(name).split(",") if parameters.has(name) else []


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535


def check_files(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for a certificate or key file that libpq can't use.

    libpq would ignore some of them silently: it connects without a client certificate if the file
    is missing.
    """
    files = {name: _file_name(name, parameters) for name in _FILE_PARAMETERS}
    if not any(files.values()) or parameters.get("sslmode") == "disable":
        return
    for name in ("sslrootcert", "sslcert"):
        file = files[name]
        if file and file != _SYSTEM_TRUST and (problem := ca_file_problem(file)):
            raise _file_error(name, file, problem, parameters)
    if files["sslrootcert"] == _SYSTEM_TRUST and (problem := trust_store_problem()):
        raise ConfigurationError(problem)
    if files["sslkey"] and files["sslcert"] and not _is_engine_key(files["sslkey"]):
        _check_key(files["sslkey"], files["sslcert"], parameters)


def _file_name(name: str, parameters: ConnectionParameters) -> str:
    """Return the file that the URL or the environment names; "" if none does."""
    is_set = parameters.has(name)
    return parameters.get(name) if is_set else os.environ.get(f"PG{name.upper()}", "")


def _is_engine_key(key: str) -> bool:
    """Return whether a key is not in a file: ``engine:name``; a drive has one letter."""
    return len(key.partition(":")[0]) > 1 and ":" in key


def _check_key(key: str, certificate: str, parameters: ConnectionParameters) -> None:
    if _is_der(key):
        return
    password = parameters.get("sslpassword") and (lambda: parameters.get("sslpassword"))
    problem = private_key_problem(key, certificate=certificate, password=password or None)
    if problem and "encrypted" in problem:
        problem += " (option 'sslpassword')"
    if problem := problem or _permission_problem(key):
        raise _file_error("sslkey", key, problem, parameters)


def _is_der(key: str) -> bool:
    try:
        with open(key, "rb") as file:
            return file.read(1) == _DER
    except (OSError, ValueError) as error:
        raise_for_signal(error)
        return False


def _permission_problem(key: str) -> str | None:
    """Return why libpq rejects the permissions of a key file; None if it accepts them."""
    status = os.stat(key)
    forbidden = 0o037 if status.st_uid == 0 else 0o077
    if os.name == "nt" or not stat.S_IMODE(status.st_mode) & forbidden:
        return None
    return "other users may access it, which libpq does not allow: chmod 600"


def _file_error(
    name: str, file: str, problem: str, parameters: ConnectionParameters
) -> ConfigurationError:
    message = f"{parameters.source(name)} names {file!r}, and {problem}"
    return ConfigurationError(parameters.mask_secrets(message))
