"""Creates a memory from a MemoryConfig: finds the plugin, parses the URL, creates the cipher."""

import os
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import attrs

from fibonacci._discovery import find_plugin
from fibonacci._memory.addresses import checked_name
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.envelope import Envelope, PlainEnvelope, SealedEnvelope
from fibonacci._memory.environment import plain_text
from fibonacci._memory.expiry import milliseconds
from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.operations.verbs import Means
from fibonacci._memory.shared_store import GivenStore
from fibonacci._memory.sharing import Lease, lease
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
    envelope = _envelope(config)
    means = Means(
        lease=_lease(config),
        envelope=envelope,
        timeout=config.timeout,
        default_ttl_ms=None if config.default_ttl is None else milliseconds(config.default_ttl),
    )
    return MemoryManager(config.key_prefix, workflow, organization, means)


def _organization(config: MemoryConfig, organization_id: str | None) -> str:
    """Return the workflow's, else the configuration's, else the environment's."""
    for owner in (organization_id, config.organization_id):
        if owner is not None:
            return checked_name(owner, "organization_id", ConfigurationError)
    variable = "FIBONACCI_ORGANIZATION_ID"
    text = plain_text(variable, os.environ.get(variable, "")) or "default"
    return checked_name(text, variable, ConfigurationError)


def _lease(config: MemoryConfig) -> Lease:
    if isinstance(config.backend, Store):
        store = config.backend
        return lease(("given", id(store)), lambda: GivenStore(store))
    plugin = find_plugin("storage", config.backend)
    url = None if config.connection_url is None else StoreURL.parse(config.connection_url)
    settings = StoreSettings(url=url, options=config.options, timeout=config.timeout)
    backend: Backend = plugin.ask(settings, Backend)
    identity = backend.identity
    shared = _settings_key(settings) if identity is None else (identity, config.timeout)
    return lease((plugin, *shared), lambda: backend)


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


def _envelope(config: MemoryConfig) -> Envelope:
    mixed = config.plaintext_reads == "allow"
    if config.encrypt_values and config.encryption_key is None:
        raise ConfigurationError(
            "encrypt_values=True needs a key: pass encryption_key=..., or set "
            "FIBONACCI_MEMORY_ENCRYPTION_KEY and use MemoryConfig.from_env()"
        )
    if config.encryption_key is None:
        return PlainEnvelope()
    # A key without encrypt_values decrypts what is encrypted while a store is converted back.
    if not (config.encrypt_values or mixed):
        warnings.warn(
            "encryption_key is set, but encrypt_values is False: values are stored in plaintext. "
            "Set encrypt_values=True, or remove the key",
            UserWarning,
            stacklevel=4,
        )
        return PlainEnvelope()
    return SealedEnvelope(_cipher(config), seals=config.encrypt_values, mixed=mixed)


def _cipher(config: MemoryConfig) -> Cipher:
    # No key in a variable: an error's traceback could show it.
    settings = CipherSettings(name=config.encryption, keys=_keys(config.encryption_key))
    cipher: Cipher = find_plugin("encryption", config.encryption).ask(settings, Cipher)
    return cipher


def _keys(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
