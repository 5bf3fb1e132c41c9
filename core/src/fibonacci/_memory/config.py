"""MemoryConfig: where a workflow's memory is, and how values are stored there."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal

import attrs

from fibonacci._memory.addresses import validate_name
from fibonacci._memory.environment import read_environment
from fibonacci._memory.expiry import ttl_to_ms
from fibonacci._memory.numbers import MAX_TIMEOUT, is_number
from fibonacci.errors import ConfigurationError, InvalidArgumentError
from fibonacci.plugin._runtime.errors import without_frames
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem
from fibonacci.plugin.address import prefix_problem
from fibonacci.plugin.storage import Store
from fibonacci.plugin.url import StoreURL


def _check_backend(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Store) and not (isinstance(value, str) and value):
        raise ConfigurationError(
            f"backend must be a backend's name, such as 'memory', or a Store; "
            f"it is {_describe(value)}"
        )
    if isinstance(value, str) and "://" in value:
        raise ConfigurationError(
            "backend must be a backend's name, such as 'redis'; it is a URL: pass that as "
            "connection_url"
        )


def _check_url(config: Any, _: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"connection_url must be a URL such as redis://host:port/db; it is {_describe(value)}"
        )
    if isinstance(config.backend, Store):
        raise ConfigurationError("connection_url does not go with a Store as backend: leave it out")


def _check_prefix(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"key_prefix must be text; it is {_describe(value)}")
    problem = prefix_problem(value)
    if problem is not None:
        raise ConfigurationError(f"key_prefix {problem}")


def _check_ttl(_: Any, __: Any, value: Any) -> None:
    if value is None:
        return
    try:
        ttl_to_ms(value, "default_ttl")
    except InvalidArgumentError as error:
        raise ConfigurationError(str(error)) from None


def _check_keys(_: Any, __: Any, value: Any) -> None:
    keys = [value] if isinstance(value, str) else value
    if value is not None and not (
        isinstance(keys, list | tuple)
        and keys
        and all(isinstance(key, str) and key for key in keys)
    ):
        raise ConfigurationError(
            "encryption_key must be text, or a list of texts: the first seals, all of them open; "
            "none may be empty"
        )
    for key in keys or ():
        if problem := shell_syntax_problem(key):
            raise ConfigurationError(f"encryption_key {problem}")


def _check_flag(_: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"{attribute.name} must be True or False; it is {_describe(value)}"
        )


def _check_organization(_: Any, __: Any, value: Any) -> None:
    if value is not None:
        validate_name(value, "organization_id", ConfigurationError)


def _check_timeout(_: Any, __: Any, value: Any) -> None:
    if not is_number(value) or not 0 < value <= MAX_TIMEOUT:
        raise ConfigurationError(
            f"timeout must be a number of seconds over 0, and at most {MAX_TIMEOUT:,}; "
            f"it is {'another number' if is_number(value) else _describe(value)}"
        )


def _check_options(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(
            f"options must be a dict of the backend's options by name; it is {_describe(value)}"
        )


def _check_encryption(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(
            f"encryption must be a cipher's name, such as 'aes-256-gcm'; it is {_describe(value)}"
        )


PlaintextReads = Literal["refuse", "allow"]


def _check_plaintext(_: Any, __: Any, value: PlaintextReads) -> None:
    if not isinstance(value, str) or value not in ("refuse", "allow"):
        raise ConfigurationError(
            f"plaintext_reads must be 'refuse' or 'allow'; it is {_describe(value)}"
        )


def _describe(value: object) -> str:
    """Return the type, and no part of the value: in the wrong field it may be a secret."""
    if value is None:
        return "None"
    return "empty" if isinstance(value, str) and not value else f"a {type(value).__name__}"


def _mask_url(url: str | None) -> str:
    """The URL for a repr."""
    try:
        return repr(url and str(StoreURL.parse(url)))
    except ConfigurationError:
        return "'***'"


def _copy_options(options: Any) -> Any:
    return dict(options) if isinstance(options, Mapping) else options


def _freeze_keys(keys: Any) -> Any:
    """Several keys as a tuple, which can't be changed later."""
    return tuple(keys) if isinstance(keys, list) else keys


@attrs.frozen
class MemoryConfig:
    """Where a workflow's memory is, and how values are stored there.

    Every argument is checked here; the plugin, the URL and the cipher are checked when a Workflow
    is created with it.

    Args:
        backend: a backend's name such as "redis", or your own Store: used as it is, and never
            closed for you. "memory" is a store in this process.
        connection_url: where the backend is: ``redis://host:port/db`` and the like; None for
            "memory" and for a Store.
        key_prefix: the prefix of all keys, literally: up to 128 printable ASCII characters.
        default_ttl: seconds that a record lives if its writer sets no ttl; None: for ever.
        encryption_key: the key, or several: the first seals, all of them open.
            ``generate_key()`` returns a new one.
        encrypt_values: seal values before they leave the process. Keys and ids stay readable in
            the store.
        organization_id: the owner of the organization scope, unless the Workflow sets another; if
            None, the environment variable FIBONACCI_ORGANIZATION_ID or "default".
        timeout: seconds that one request to the store may take, connecting included.
        options: the backend's own options by name; they may be in the URL's query as well.
        encryption: the name of the encryption plugin.
        plaintext_reads: what to do with a record that is plain but should be sealed, or the other
            way round: "refuse" raises, "allow" reads it (while a store is being converted).

    Raises ConfigurationError.
    """

    backend: str | Store = attrs.field(default="memory", validator=_check_backend)
    connection_url: str | None = attrs.field(default=None, validator=_check_url, repr=_mask_url)
    key_prefix: str = attrs.field(default="fibonacci:", validator=_check_prefix)
    default_ttl: float | None = attrs.field(default=None, validator=_check_ttl)
    encryption_key: str | Sequence[str] | None = attrs.field(
        default=None, converter=_freeze_keys, validator=_check_keys, repr=False
    )
    encrypt_values: bool = attrs.field(default=False, validator=_check_flag)
    organization_id: str | None = attrs.field(
        default=None, validator=_check_organization, kw_only=True
    )
    timeout: float = attrs.field(default=5.0, validator=_check_timeout, kw_only=True)
    options: Mapping[str, Any] = attrs.field(
        factory=dict,
        converter=_copy_options,
        validator=_check_options,
        kw_only=True,
        repr=False,
        hash=False,
    )
    encryption: str = attrs.field(default="aes-256-gcm", validator=_check_encryption, kw_only=True)
    plaintext_reads: PlaintextReads = attrs.field(
        default="refuse", validator=_check_plaintext, kw_only=True
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "MemoryConfig":
        """Create the configuration from variables such as ``FIBONACCI_MEMORY_BACKEND``.

        Each field has one, except ``options`` (write those into the URL's query) and
        ``organization_id`` (FIBONACCI_ORGANIZATION_ID, which every Workflow reads). Several
        encryption keys are written one per line. An empty variable counts as unset.

        Args:
            environ: the variables; None: those of this process, ``os.environ``.

        Raises ConfigurationError, also for a FIBONACCI_MEMORY_ variable that does not exist.
        """
        try:
            return cls(**read_environment(os.environ if environ is None else environ))
        except ConfigurationError as caught:
            error = without_frames(caught)
        del environ
        raise error


def _hide_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Remove the frames that have the arguments of ``__init__`` in them: a URL, keys."""

    @wraps(init)
    def checked(self: object, *args: Any, **kwargs: Any) -> None:
        try:
            return init(self, *args, **kwargs)
        except (ConfigurationError, TypeError) as caught:
            error = without_frames(caught)
        del self, args, kwargs
        raise error

    return checked


MemoryConfig.__init__ = _hide_arguments(MemoryConfig.__init__)  # type: ignore[method-assign]


def generate_key() -> str:
    """Return a new encryption key: 32 random bytes as 44 characters of URL-safe base64.

    For ``MemoryConfig(encrypt_values=True, encryption_key=...)``. Store it where secrets are
    stored: without it, what it sealed can never be read again.
    """
    from base64 import urlsafe_b64encode  # a millisecond, which only this function needs

    return urlsafe_b64encode(os.urandom(32)).decode()
