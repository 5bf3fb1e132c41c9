"""What each field of MemoryConfig may be, and how it is shown."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from fibonacci._memory.addresses import checked_name
from fibonacci._memory.expiry import milliseconds
from fibonacci.errors import ConfigurationError, InvalidArgumentError
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem
from fibonacci.plugin.address import prefix_problem
from fibonacci.plugin.storage import Store
from fibonacci.plugin.url import StoreURL

DAY: Final = 86_400
"""Seconds: no request is waited for longer."""


def check_backend(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Store) and not (isinstance(value, str) and value):
        raise ConfigurationError(
            f"backend must be a backend's name, such as 'memory', or a Store; "
            f"it is {described(value)}"
        )
    if isinstance(value, str) and "://" in value:
        raise ConfigurationError(
            "backend is a backend's name, such as 'redis', and it is a URL: give that as "
            "connection_url"
        )


def check_url(config: Any, _: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"connection_url must be a URL such as redis://host:port/db; it is {described(value)}"
        )
    if isinstance(config.backend, Store):
        raise ConfigurationError("connection_url does not go with a Store as backend: leave it out")


def check_prefix(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"key_prefix must be text; it is {described(value)}")
    fault = prefix_problem(value)
    if fault is not None:
        raise ConfigurationError(f"key_prefix {fault}")


def check_ttl(_: Any, __: Any, value: Any) -> None:
    if value is None:
        return
    try:
        milliseconds(value, "default_ttl")
    except InvalidArgumentError as fault:
        raise ConfigurationError(str(fault)) from None


def check_keys(_: Any, __: Any, value: Any) -> None:
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
    for key in keys or ():
        if fault := shell_syntax_problem(key):
            raise ConfigurationError(f"encryption_key {fault}")


def check_flag(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{attribute.name} must be True or False; it is {described(value)}"
        )


def check_organization(_: Any, __: Any, value: Any) -> None:
    if value is not None:
        checked_name(value, "organization_id", ConfigurationError)


def check_timeout(_: Any, __: Any, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= DAY:
        raise ConfigurationError(
            f"timeout must be a number of seconds over 0, and at most {DAY:,}; "
            f"it is {'another number' if number else described(value)}"
        )


def check_options(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(
            f"options must be a dict of the backend's options by name; it is {described(value)}"
        )


def check_encryption(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"encryption must be a cipher's name, such as 'aes-256-gcm'; it is {described(value)}"
        )


PlaintextReads = Literal["refuse", "allow"]


def check_plaintext(_: Any, __: Any, value: PlaintextReads) -> None:
    if not isinstance(value, str) or value not in ("refuse", "allow"):
        raise ConfigurationError(
            f"plaintext_reads must be 'refuse' or 'allow'; it is {described(value)}"
        )


def described(value: object) -> str:
    """Say what type it is, and no part of the value: in the wrong place that may be a secret."""
    if value is None:
        return "None"
    return "empty" if isinstance(value, str) and not value else f"a {type(value).__name__}"


def masked(url: str | None) -> str:
    """The URL for a repr."""
    try:
        return repr(url and str(StoreURL.parse(url)))
    except ConfigurationError:
        return "'***'"


def copied(options: Any) -> Any:
    return dict(options) if isinstance(options, Mapping) else options


def kept(keys: Any) -> Any:
    """Several keys as a tuple, which nobody can change later."""
    return tuple(keys) if isinstance(keys, list) else keys
