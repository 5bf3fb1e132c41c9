"""MemoryConfig: where a workflow's memory is, and how values are kept there."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import attrs

from fibonacci._memory import environment, fields
from fibonacci.errors import ConfigurationError
from fibonacci.plugin._runtime.errors import without_frames
from fibonacci.plugin.storage import Store


@attrs.frozen
class MemoryConfig:
    """Where a workflow's memory is, and how values are kept there.

    Every field is checked here; the plugin, the URL and the cipher are checked when a Workflow is
    made with it. Raises ConfigurationError.
    """

    backend: str | Store = attrs.field(default="memory", validator=fields.check_backend)
    """A backend's name, or a Store of your own: shared as it is, and never closed for you."""
    connection_url: str | None = attrs.field(
        default=None, validator=fields.check_url, repr=fields.masked
    )
    """Where the backend is: ``redis://host:port/db`` and the like."""
    key_prefix: str = attrs.field(default="fibonacci:", validator=fields.check_prefix)
    """Stands literally in front of all keys: up to 128 printable ASCII characters."""
    default_ttl: float | None = attrs.field(default=None, validator=fields.check_ttl)
    """Seconds that a record lives if its writer does not say; None: for ever."""
    encryption_key: str | Sequence[str] | None = attrs.field(
        default=None, converter=fields.kept, validator=fields.check_keys, repr=False
    )
    """The key, or several: the first seals, all of them open."""
    encrypt_values: bool = attrs.field(default=False, validator=fields.check_flag)
    """Seal values before they leave the process. Keys and ids stay readable in the store."""
    organization_id: str | None = attrs.field(
        default=None, validator=fields.check_organization, kw_only=True
    )
    """Whose the organization scope is, unless the Workflow says; the environment variable
    FIBONACCI_ORGANIZATION_ID or "default" otherwise."""
    timeout: float = attrs.field(default=5.0, validator=fields.check_timeout, kw_only=True)
    """Seconds that one request to the store may take, connecting included."""
    options: Mapping[str, Any] = attrs.field(
        factory=dict,
        converter=fields.copied,
        validator=fields.check_options,
        kw_only=True,
        repr=False,
        hash=False,
    )
    """The backend's own options; they may stand in the URL's query as well."""
    encryption: str = attrs.field(
        default="aes-256-gcm", validator=fields.check_encryption, kw_only=True
    )
    """The name of the encryption plugin."""
    plaintext_reads: fields.PlaintextReads = attrs.field(
        default="refuse", validator=fields.check_plaintext, kw_only=True
    )
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
        try:
            return cls(**environment.fields(os.environ if environ is None else environ))
        except ConfigurationError as caught:
            fault = without_frames(caught)
        del environ
        raise fault


def _showing_no_argument(init: Callable[..., None]) -> Callable[..., None]:
    """Have errors of ``__init__`` pass no frame that holds its arguments: a URL, keys."""

    @wraps(init)
    def checked(self: object, *args: Any, **kwargs: Any) -> None:
        try:
            return init(self, *args, **kwargs)
        except (ConfigurationError, TypeError) as caught:
            fault = without_frames(caught)
        del self, args, kwargs
        raise fault

    return checked


MemoryConfig.__init__ = _showing_no_argument(MemoryConfig.__init__)  # type: ignore[method-assign]
