"""Reads MemoryConfig's fields from environment variables."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem

PREFIX: Final = "FIBONACCI_MEMORY_"


# What Kubernetes sets in each container for a service called fibonacci-memory.
_SERVICE: Final = re.compile(
    PREFIX + r"(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=\d+$|PORT=\w+://"
    r"|PORT_\d+_(TCP|UDP|SCTP)(=\w+://|_(PROTO|PORT|ADDR)=))",
    re.ASCII,
)


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that are set; an empty or blank variable counts as unset.

    Raises ConfigurationError for an unknown variable with this prefix, or one that can't be parsed.
    Those that Kubernetes sets for a service of this name are skipped.
    """
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        _check_name(variable)
        value = text or ""  # readers of .env files return None for a name without a value
        if variable.startswith(PREFIX) and not _SERVICE.match(f"{variable}={value}"):
            cleaned = clean_value(variable, value)
            if cleaned:
                name = _field_name(variable)
                found[name] = _parse(name, variable, value if name == "encryption_key" else cleaned)
    return found


def clean_value(variable: str, text: str) -> str:
    """Return an environment variable's value without the blanks and line ends around it.

    Raises ConfigurationError if a shell or a container platform should have expanded it or removed
    its quotes.
    """
    plain = text.strip()
    for part in (plain, *plain.splitlines()):
        if problem := shell_syntax_problem(part):
            raise ConfigurationError(f"the environment variable {variable} {problem}")
    return plain


def _check_name(variable: str) -> None:
    """Refuse a misspelt variable, which otherwise would silently have no effect."""
    plain = variable.strip().removeprefix("export ").strip().upper()
    if plain != variable and plain.startswith(PREFIX):
        raise ConfigurationError(f"unknown environment variable {variable!r}: write {plain}")


def _parse_number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _parse_flag(text: str) -> bool:
    yes, no = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
    return {**dict.fromkeys(yes, True), **dict.fromkeys(no, False)}[text.lower()]


def _identity(text: str) -> str:
    return text


def _parse_lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "backend": (_identity, ""),
    "connection_url": (_identity, ""),
    "key_prefix": (_identity, ""),
    "default_ttl": (_parse_number, "a number of seconds"),
    "encryption_key": (_parse_lines, ""),
    "encrypt_values": (_parse_flag, "true or false"),
    "timeout": (_parse_number, "a number of seconds"),
    "encryption": (_identity, ""),
    "plaintext_reads": (_identity, ""),
}


def _field_name(variable: str) -> str:
    name = variable.removeprefix(PREFIX).lower()
    if name not in _PARSERS:
        known = [PREFIX + field.upper() for field in _PARSERS]
        raise ConfigurationError(
            f"unknown environment variable {variable}.{did_you_mean(variable, known)}"
        )
    return name


def _parse(name: str, variable: str, text: str) -> Any:
    parse, expected = _PARSERS[name]
    try:
        return parse(text)
    except (ValueError, KeyError):
        raise ConfigurationError(
            f"the environment variable {variable} must be {expected}"
        ) from None
