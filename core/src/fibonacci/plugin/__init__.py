"""Everything that the author of a plugin imports; nothing else of this package is for them."""

from fibonacci.plugin._run import run
from fibonacci.plugin._sync_store import SyncStore
from fibonacci.plugin.address import SCOPES, Address, Scope, Space, canonical, parse
from fibonacci.plugin.encryption import Cipher, CipherSettings
from fibonacci.plugin.hookspecs import SPEC_VERSION, hookimpl
from fibonacci.plugin.models import (
    Completion,
    Model,
    ModelRequest,
    ModelSettings,
    TextDelta,
    Usage,
)
from fibonacci.plugin.options import flag, read_options, text, whole_number
from fibonacci.plugin.storage import (
    ABSENT,
    KEEP,
    Absent,
    AsyncStore,
    Backend,
    Keep,
    Page,
    Store,
    StoreSettings,
)
from fibonacci.plugin.templating import (
    Engine,
    EngineSettings,
    Reference,
    Template,
    as_text,
    below,
    missing,
)
from fibonacci.plugin.url import StoreURL
from fibonacci.plugin.versioned import (
    AsyncVersionedStore,
    VersionedRecord,
    VersionedStore,
    is_live,
)

__all__ = [
    "ABSENT",
    "KEEP",
    "SCOPES",
    "SPEC_VERSION",
    "Absent",
    "Address",
    "AsyncStore",
    "AsyncVersionedStore",
    "Backend",
    "Cipher",
    "CipherSettings",
    "Completion",
    "Engine",
    "EngineSettings",
    "Keep",
    "Model",
    "ModelRequest",
    "ModelSettings",
    "Page",
    "Reference",
    "Scope",
    "Space",
    "Store",
    "StoreSettings",
    "StoreURL",
    "SyncStore",
    "Template",
    "TextDelta",
    "Usage",
    "VersionedRecord",
    "VersionedStore",
    "as_text",
    "below",
    "canonical",
    "flag",
    "hookimpl",
    "is_live",
    "missing",
    "parse",
    "read_options",
    "run",
    "text",
    "whole_number",
]
