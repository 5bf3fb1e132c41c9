"""From a MemoryConfig to a memory: the plugin is found, the URL read, the cipher made."""

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


def open_memory(config: MemoryConfig, workflow: str, organization_id: str | None) -> MemoryManager:
    """Return a memory with these settings; nothing is connected to yet.

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


def _organization(config: MemoryConfig, given: str | None) -> str:
    """The first that is given: by the workflow, the configuration, the environment."""
    for named in (given, config.organization_id):
        if named is not None:
            return checked_name(named, "organization_id", ConfigurationError)
    variable = "FIBONACCI_ORGANIZATION_ID"
    text = plain_text(variable, os.environ.get(variable, "")) or "default"
    return checked_name(text, variable, ConfigurationError)


def _lease(config: MemoryConfig) -> Lease:
    if isinstance(config.backend, Store):
        given = config.backend
        return lease(("given", id(given)), lambda: GivenStore(given))
    plugin = find_plugin("storage", config.backend)
    url = None if config.connection_url is None else StoreURL.parse(config.connection_url)
    settings = StoreSettings(url=url, options=config.options, timeout=config.timeout)
    backend: Backend = plugin.call_hook(settings, Backend)
    same = _identity(settings) if backend.identity is None else (backend.identity, config.timeout)
    return lease((plugin, *same), lambda: backend)


def _identity(settings: StoreSettings) -> tuple[Hashable, ...]:
    try:
        return (*_written(settings.url), _frozen(settings.options), settings.timeout)
    except RecursionError:
        raise ConfigurationError("options hold themselves, or are nested too deep") from None


def _written(url: StoreURL | None) -> tuple[Hashable, ...]:
    if url is None:
        return (None,)
    query = frozenset(url.query.items())
    return url.scheme, url.username, url.password, url.hosts, url.path, query


def _frozen(value: Any) -> Hashable:
    """A value of an option as part of a dict key: equal where it is equal and of the same type."""
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, str | int | float | None):
        return (type(value), value)
    return _Same(value)


@attrs.frozen(eq=False)
class _Same:
    """Anything else that is an option: equal to itself alone, and alive as long as its key is."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

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
    # A key without encrypt_values opens what is sealed while a store is converted back.
    if not (config.encrypt_values or mixed):
        warnings.warn(
            "encryption_key is given, and encrypt_values is False: values are written in the "
            "clear. Set encrypt_values=True, or leave the key out",
            UserWarning,
            stacklevel=4,
        )
        return PlainEnvelope()
    return SealedEnvelope(_cipher(config), seals=config.encrypt_values, mixed=mixed)


def _cipher(config: MemoryConfig) -> Cipher:
    # No key in a variable: an error's traceback could show it.
    settings = CipherSettings(name=config.encryption, keys=_keys(config.encryption_key))
    cipher: Cipher = find_plugin("encryption", config.encryption).call_hook(settings, Cipher)
    return cipher


def _keys(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
