"""Creates a memory from a MemoryConfig: finds the plugin, parses the URL, creates the cipher."""

import os
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import attrs

from fibonacci._discovery import find_plugin
from fibonacci._memory.addresses import validate_name
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.context import MemoryContext
from fibonacci._memory.environment import clean_value
from fibonacci._memory.expiry import ttl_to_ms
from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.serializers import EncryptedSerializer, PlainSerializer, RecordSerializer
from fibonacci._memory.shared_store import StoreInstanceBackend
from fibonacci._memory.store_handle import StoreHandle, open_handle
from fibonacci.errors import ConfigurationError
from fibonacci.plugin.encryption import Cipher, CipherSettings
from fibonacci.plugin.storage import Backend, Store, StoreSettings
from fibonacci.plugin.url import StoreURL


def create_memory(
    config: MemoryConfig, workflow: str, organization_id: str | None
) -> MemoryManager:
    """Return a memory with these settings, without connecting to its store yet.

    Raises ConfigurationError or PluginError.
    """
    organization = _organization(config, organization_id)
    serializer = _serializer(config)
    context = MemoryContext(
        handle=_open_handle(config),
        serializer=serializer,
        timeout=config.timeout,
        default_ttl_ms=None if config.default_ttl is None else ttl_to_ms(config.default_ttl),
    )
    return MemoryManager(config.key_prefix, workflow, organization, context)


def _organization(config: MemoryConfig, organization_id: str | None) -> str:
    """Return the workflow's, else the configuration's, else the environment's."""
    for owner in (organization_id, config.organization_id):
        if owner is not None:
            return validate_name(owner, "organization_id", ConfigurationError)
    variable = "FIBONACCI_ORGANIZATION_ID"
    text = clean_value(variable, os.environ.get(variable, "")) or "default"
    return validate_name(text, variable, ConfigurationError)


def _open_handle(config: MemoryConfig) -> StoreHandle:
    if isinstance(config.backend, Store):
        store = config.backend
        return open_handle(("instance", id(store)), lambda: StoreInstanceBackend(store))
    plugin = find_plugin("storage", config.backend)
    url = None if config.connection_url is None else StoreURL.parse(config.connection_url)
    settings = StoreSettings(url=url, options=config.options, timeout=config.timeout)
    backend: Backend = plugin.call_hook(settings, Backend)
    identity = backend.identity
    shared = _settings_key(settings) if identity is None else (identity, config.timeout)
    return open_handle((plugin, *shared), lambda: backend)


def _settings_key(settings: StoreSettings) -> tuple[Hashable, ...]:
    try:
        return (*_url_key(settings.url), _freeze(settings.options), settings.timeout)
    except RecursionError:
        raise ConfigurationError(
            "options contain a reference cycle, or are nested too deep"
        ) from None


def _url_key(url: StoreURL | None) -> tuple[Hashable, ...]:
    if url is None:
        return (None,)
    query = frozenset(url.query.items())
    return url.scheme, url.username, url.password, url.hosts, url.path, query


def _freeze(value: Any) -> Hashable:
    """Return an option's value as part of a dict key: equal if it is equal and of the same type."""
    if isinstance(value, Mapping):
        return frozenset((name, _freeze(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_freeze, value))
    if isinstance(value, str | int | float | None):
        return (type(value), value)
    return _IdentityKey(value)


@attrs.frozen(eq=False)
class _IdentityKey:
    """Any other object that is an option: equal only to itself, and alive as long as its key."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _IdentityKey) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _serializer(config: MemoryConfig) -> RecordSerializer:
    accepts_plaintext = config.plaintext_reads == "allow"
    if config.encrypt_values and config.encryption_key is None:
        raise ConfigurationError(
            "encrypt_values=True needs a key: pass encryption_key=..., or set "
            "FIBONACCI_MEMORY_ENCRYPTION_KEY and use MemoryConfig.from_env()"
        )
    if config.encryption_key is None:
        return PlainSerializer()
    # A key without encrypt_values decrypts what is encrypted while a store is converted back.
    if not (config.encrypt_values or accepts_plaintext):
        warnings.warn(
            "encryption_key is set, but encrypt_values is False: values are stored in plaintext. "
            "Set encrypt_values=True, or remove the key",
            UserWarning,
            stacklevel=4,
        )
        return PlainSerializer()
    return EncryptedSerializer(
        _cipher(config), encrypts=config.encrypt_values, accepts_plaintext=accepts_plaintext
    )


def _cipher(config: MemoryConfig) -> Cipher:
    # No key in a variable: an error's traceback could show it.
    settings = CipherSettings(name=config.encryption, keys=_keys(config.encryption_key))
    cipher: Cipher = find_plugin("encryption", config.encryption).call_hook(settings, Cipher)
    return cipher


def _keys(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
