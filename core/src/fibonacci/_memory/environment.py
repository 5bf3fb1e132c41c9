"""MemoryConfig's fields from environment variables."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem

PREFIX: Final = "FIBONACCI_MEMORY_"


# What Kubernetes tells each container of a service called fibonacci-memory, beside the settings.
_SERVICE: Final = re.compile(
    PREFIX + r"(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=\d+$|PORT=\w+://"
    r"|PORT_\d+_(TCP|UDP|SCTP)(=\w+://|_(PROTO|PORT|ADDR)=))",
    re.ASCII,
)


def fields(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that are set; a variable that is empty, or blank, counts as unset.

    Raises ConfigurationError for a variable of our prefix that does not exist, or can't be read.
    Those that Kubernetes sets for a service of such a name are left out.
    """
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        _check_name(variable)
        given = text or ""  # readers of .env files return None for a name alone
        if variable.startswith(PREFIX) and not _SERVICE.match(f"{variable}={given}"):
            plain = plain_text(variable, given)
            if plain:
                name = _field(variable)
                found[name] = _read(name, variable, given if name == "encryption_key" else plain)
    return found


def plain_text(variable: str, text: str) -> str:
    """Return what an environment variable says, without the blanks and line ends around it.

    Raises ConfigurationError where a shell or a container platform left something to do.
    """
    plain = text.strip()
    for part in (plain, *plain.splitlines()):
        if fault := shell_syntax_problem(part):
            raise ConfigurationError(f"the environment variable {variable} {fault}")
    return plain


def _check_name(variable: str) -> None:
    """Refuse what else would be a setting that silently does nothing."""
    plain = variable.strip().removeprefix("export ").strip().upper()
    if plain != variable and plain.startswith(PREFIX):
        raise ConfigurationError(f"unknown environment variable {variable!r}: write {plain}")


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _flag(text: str) -> bool:
    yes, no = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
    return {**dict.fromkeys(yes, True), **dict.fromkeys(no, False)}[text.lower()]


def _text(text: str) -> str:
    return text


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "backend": (_text, ""),
    "connection_url": (_text, ""),
    "key_prefix": (_text, ""),
    "default_ttl": (_number, "a number of seconds"),
    "encryption_key": (_lines, ""),
    "encrypt_values": (_flag, "true or false"),
    "timeout": (_number, "a number of seconds"),
    "encryption": (_text, ""),
    "plaintext_reads": (_text, ""),
}


def _field(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower()
    if name not in _READERS:
        known = [PREFIX + field.upper() for field in _READERS]
        raise ConfigurationError(
            f"unknown environment variable {variable}.{did_you_mean(variable, known)}"
        )
    return name


def _read(name: str, variable: str, text: str) -> Any:
    read, rule = _READERS[name]
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigurationError(f"the environment variable {variable} must be {rule}") from None
