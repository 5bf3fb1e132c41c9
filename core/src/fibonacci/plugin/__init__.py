"""Everything that the author of a plugin imports; nothing else of this package is for them."""

from fibonacci.plugin.address import SCOPES, Address, Scope, Space, canonical, parse
from fibonacci.plugin.encryption import Cipher, CipherSettings
from fibonacci.plugin.hookspecs import SPEC_VERSION, hookimpl
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
from fibonacci.plugin.url import StoreURL

__all__ = [
    "ABSENT",
    "KEEP",
    "SCOPES",
    "SPEC_VERSION",
    "Absent",
    "Address",
    "AsyncStore",
    "Backend",
    "Cipher",
    "CipherSettings",
    "Keep",
    "Page",
    "Scope",
    "Space",
    "Store",
    "StoreSettings",
    "StoreURL",
    "canonical",
    "flag",
    "hookimpl",
    "parse",
    "read_options",
    "text",
    "whole_number",
]
