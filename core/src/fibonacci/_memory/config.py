"""MemoryConfig: where a workflow's memory is, and how values are kept there."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from fibonacci._memory.addresses import checked_name
from fibonacci._memory.expiry import milliseconds
from fibonacci.errors import ConfigurationError, InvalidArgumentError
from fibonacci.plugin._hints import did_you_mean
from fibonacci.plugin.storage import Store
from fibonacci.plugin.url import StoreURL

_UNWANTED = frozenset("{}*?[]\\%")


def _check_backend(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Store) and not (isinstance(value, str) and value):
        raise ConfigurationError(
            f"backend must be a backend's name, such as 'memory', or a Store; "
            f"it is {_described(value)}"
        )


def _check_url(config: "MemoryConfig", _: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"connection_url must be a URL such as redis://host:port/db; it is {_described(value)}"
        )
    if isinstance(config.backend, Store):
        raise ConfigurationError("connection_url does not go with a Store as backend: leave it out")


def _check_prefix(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"key_prefix must be text; it is {_described(value)}")
    if len(value) > 128:
        raise ConfigurationError(f"key_prefix has {len(value)} characters; it may have 128")
    for character in value:
        if not "!" <= character <= "~" or character in _UNWANTED:
            raise ConfigurationError(
                f"key_prefix may not hold {character!r}: it is printable ASCII without spaces "
                f"and without any of {{}}*?[]\\%"
            )


def _check_ttl(_: Any, __: Any, value: Any) -> None:
    if value is None:
        return
    try:
        milliseconds(value, "default_ttl")
    except InvalidArgumentError as fault:
        raise ConfigurationError(str(fault)) from None


def _check_keys(_: Any, __: Any, value: Any) -> None:
    keys = [value] if isinstance(value, str) else value
    if value is not None and not (
        isinstance(keys, list | tuple)
        and keys
        and all(isinstance(key, str) and key for key in keys)
    ):
        raise ConfigurationError(
            "encryption_key must be text, or a list of texts of which the first seals and all "
            "open; none of them empty"
        )


def _check_flag(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{attribute.name} must be True or False; it is {_described(value)}"
        )


def _check_organization(_: Any, __: Any, value: Any) -> None:
    if value is not None:
        checked_name(value, "organization_id", ConfigurationError)


def _check_timeout(_: Any, __: Any, value: Any) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    if not fits:
        raise ConfigurationError(
            f"timeout must be a number of seconds over 0; it is {_described(value)}"
        )


def _check_options(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(
            f"options must be a dict of the backend's options by name; it is {_described(value)}"
        )


def _check_encryption(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"encryption must be a cipher's name, such as 'aes-256-gcm'; it is {_described(value)}"
        )


def _check_plaintext(_: Any, __: Any, value: Any) -> None:
    if value not in ("refuse", "allow"):
        raise ConfigurationError(
            f"plaintext_reads must be 'refuse' or 'allow'; it is {_described(value)}"
        )


def _described(value: object) -> str:
    """Say what type it is, and no part of the value: in the wrong place that may be a secret."""
    return "empty" if value == "" else "None" if value is None else f"a {type(value).__name__}"


def _masked(url: str | None) -> str:
    """The URL for a repr."""
    try:
        return repr(url and str(StoreURL.parse(url)))
    except ConfigurationError:
        return "'***'"


def _copied(options: Any) -> Any:
    return dict(options) if isinstance(options, Mapping) else options


@attrs.frozen
class MemoryConfig:
    """Where a workflow's memory is, and how values are kept there.

    Every field is checked here; the plugin, the URL and the cipher are checked when a Workflow is
    made with it. Raises ConfigurationError.
    """

    backend: str | Store = attrs.field(default="memory", validator=_check_backend)
    """A backend's name, or a Store of your own: shared as it is, and never closed for you."""
    connection_url: str | None = attrs.field(default=None, validator=_check_url, repr=_masked)
    """Where the backend is: ``redis://host:port/db`` and the like."""
    key_prefix: str = attrs.field(default="fibonacci:", validator=_check_prefix)
    """Stands literally in front of all keys: up to 128 printable ASCII characters."""
    default_ttl: float | None = attrs.field(default=None, validator=_check_ttl)
    """Seconds that a record lives if its writer does not say; None: for ever."""
    encryption_key: str | Sequence[str] | None = attrs.field(
        default=None, validator=_check_keys, repr=False
    )
    """The key, or several: the first seals, all of them open."""
    encrypt_values: bool = attrs.field(default=False, validator=_check_flag)
    """Seal values before they leave the process. Keys and ids stay readable in the store."""
    organization_id: str | None = attrs.field(
        default=None, validator=_check_organization, kw_only=True
    )
    """Whose the organization scope is, unless the Workflow says; the environment variable
    FIBONACCI_ORGANIZATION_ID or "default" otherwise."""
    timeout: float = attrs.field(default=5.0, validator=_check_timeout, kw_only=True)
    """Seconds that one request to the store may take, connecting included."""
    options: Mapping[str, Any] = attrs.field(
        factory=dict, converter=_copied, validator=_check_options, kw_only=True, repr=False
    )
    """The backend's own options; they may stand in the URL's query as well."""
    encryption: str = attrs.field(default="aes-256-gcm", validator=_check_encryption, kw_only=True)
    """The name of the encryption plugin."""
    plaintext_reads: str = attrs.field(default="refuse", validator=_check_plaintext, kw_only=True)
    """What to do with a record that is plain where it should be sealed, or the other way round:
    "refuse" raises, "allow" reads it (for the time in which a store is being converted)."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "MemoryConfig":
        """Make the configuration from variables such as ``FIBONACCI_MEMORY_BACKEND``.

        There is one for each field but ``options`` (write those into the URL's query) and
        ``organization_id`` (FIBONACCI_ORGANIZATION_ID, which every Workflow knows). Several
        encryption keys stand one a line. An empty variable counts as unset.

        Raises ConfigurationError, also for a FIBONACCI_MEMORY_ variable that does not exist.
        """
        given = os.environ if environ is None else environ
        fields: dict[str, Any] = {}
        for variable, text in given.items():
            if variable.startswith(_ENVIRONMENT) and text:
                fields[_field_of(variable)] = _read(variable, text)
        return cls(**fields)


_ENVIRONMENT = "FIBONACCI_MEMORY_"


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _text(text: str) -> str:
    return text


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "backend": (_text, ""),
    "connection_url": (_text, ""),
    "key_prefix": (_text, ""),
    "default_ttl": (_number, "a number of seconds"),
    "encryption_key": (str.splitlines, ""),
    "encrypt_values": (_flag, "true or false"),
    "timeout": (_number, "a number of seconds"),
    "encryption": (_text, ""),
    "plaintext_reads": (_text, ""),
}


def _field_of(variable: str) -> str:
    name = variable.removeprefix(_ENVIRONMENT).lower()
    if name not in _READERS:
        known = [_ENVIRONMENT + field.upper() for field in _READERS]
        raise ConfigurationError(
            f"unknown environment variable {variable}.{did_you_mean(variable, known)}"
        )
    return name


def _read(variable: str, text: str) -> Any:
    read, rule = _READERS[variable.removeprefix(_ENVIRONMENT).lower()]
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigurationError(f"the environment variable {variable} must be {rule}") from None
