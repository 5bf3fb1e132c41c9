"""Everything that plugins import from core, with ``fibonacci.plugin.runtime`` and the errors."""

from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import SCOPES, Address, Scope, Space, encode_parts, parse_address
from fibonacci.plugin.encryption import Cipher, CipherSettings
from fibonacci.plugin.hookspecs import SPEC_VERSION, hookimpl
from fibonacci.plugin.models import (
    Completion,
    Message,
    Model,
    ModelRequest,
    ModelSettings,
    StopReason,
    TextDelta,
    Usage,
    message_text,
)
from fibonacci.plugin.options import bool_option, int_option, read_options, text_option
from fibonacci.plugin.required_url import read_url
from fibonacci.plugin.storage import (
    ABSENT,
    KEEP_TTL,
    Absent,
    AsyncStore,
    Backend,
    KeepTTL,
    Page,
    Store,
    StoreSettings,
)
from fibonacci.plugin.templating import (
    Engine,
    EngineSettings,
    Reference,
    Template,
    get_child,
    missing_value_error,
    render_value,
)
from fibonacci.plugin.url import StoreURL
from fibonacci.plugin.versioned import (
    AsyncVersionedStore,
    VersionedRecord,
    VersionedStore,
    is_unexpired,
)

__all__ = [
    "ABSENT",
    "KEEP_TTL",
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
    "KeepTTL",
    "Message",
    "Model",
    "ModelRequest",
    "ModelSettings",
    "Page",
    "Reference",
    "Scope",
    "Space",
    "StopReason",
    "Store",
    "StoreSettings",
    "StoreURL",
    "Template",
    "TextDelta",
    "Usage",
    "VersionedRecord",
    "VersionedStore",
    "bool_option",
    "encode_parts",
    "get_child",
    "hookimpl",
    "int_option",
    "is_unexpired",
    "message_text",
    "missing_value_error",
    "parse_address",
    "read_options",
    "read_url",
    "render_value",
    "run_sync",
    "text_option",
]
