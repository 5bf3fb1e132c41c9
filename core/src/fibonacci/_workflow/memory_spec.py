"""memory_read and memory_write: the forms that users write, checked, and parsed into one form."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Required, TypedDict

import attrs

from fibonacci._memory import codec
from fibonacci._memory.addresses import validate_name
from fibonacci._memory.expiry import TTL, ttl_to_ms
from fibonacci._memory.numbers import is_count
from fibonacci._memory.reads import ReadSpec
from fibonacci.errors import FibonacciError, WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin.address import SCOPES, Address, Scope, Space

Mode = Literal["set", "append", "increment"]

# Not in the class below, as "as" is a Python keyword.
_As = TypedDict("_As", {"as": str}, total=False)


class MemoryRead(_As, total=False):
    """One value that a node reads; a dict in ``memory_read``.

    Args:
        key: the record's key; may hold templates, and then needs ``as``.
        scope: where it is; None: the first of user, workflow, organization and global that has it.
        default: the value if there is no unexpired record; without it, the value is missing.
        as: its name in the node; without it, the key.
    """

    key: Required[str]
    scope: Scope | None
    default: Any


class MemoryWrite(TypedDict, total=False):
    """One record that a node writes with its output; a dict in ``memory_write``.

    Args:
        key: the record's key; may hold templates.
        scope: where it is; None: the run's user if it has one, else the workflow.
        ttl: seconds to live, NO_EXPIRY, or None for the memory's default.
        mode: "set" replaces the value, "append" adds the output to the end of a list, "increment"
            adds it to a number; without it, "set".
        max_items: the most elements of an appended list: the newest stay; fewer if they take more
            bytes than a record may have. None: all.
    """

    key: Required[str]
    scope: Scope | None
    ttl: TTL | None
    mode: Mode
    max_items: int | None


ReadForm = Sequence[str | MemoryRead]
"""What ``memory_read`` takes."""

WriteForm = str | MemoryWrite | Sequence[str | MemoryWrite] | None
"""What ``memory_write`` takes."""

MODES: Final[tuple[Mode, ...]] = ("set", "append", "increment")


@attrs.frozen(kw_only=True)
class RecordWrite:
    """One record that a node writes with its output."""

    key: str
    """May hold templates."""
    scope: Scope | None = None
    """None: the run's user if it has one, else the workflow."""
    ttl: Any = None
    """Seconds, NO_EXPIRY, or None for the memory's default."""
    mode: Mode = "set"
    """Replace the value, add the output to the end of a list, or add it to a number."""
    max_items: int | None = None
    """The most elements of an appended list: the newest stay; fewer if bytes run out. None: all."""


def parse_reads(forms: ReadForm) -> tuple[ReadSpec, ...]:
    """Parse ``memory_read``: keys, or dicts with key, scope, default and as."""
    if isinstance(forms, str | Mapping) or not isinstance(forms, Sequence):
        raise WorkflowValidationError(
            'memory_read must be a list of keys such as ["history"], or of dicts'
        )
    reads = tuple(_parse_read(form) for form in forms)
    names = [read.name for read in reads]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise WorkflowValidationError(
            f"memory_read has the name {duplicate!r} twice: rename one of them with 'as'"
        )
    return reads


def parse_writes(forms: WriteForm) -> tuple[RecordWrite, ...]:
    """Parse ``memory_write``: a key, a dict, or a list of them."""
    if forms is None:
        return ()
    if isinstance(forms, str | Mapping):
        return (_parse_write(forms),)
    if not isinstance(forms, Sequence):
        raise WorkflowValidationError(
            "memory_write must be a key, a dict such as {'key': 'summary', 'scope': 'user'}, "
            "or a list of them"
        )
    return tuple(_parse_write(form) for form in forms)


def _parse_read(form: Any) -> ReadSpec:
    if isinstance(form, str):
        return ReadSpec(name=form, key=_check_key(form, "memory_read"))
    fields = check_fields(form, "memory_read", ("key", "scope", "default", "as"))
    key = _check_key(fields["key"], "memory_read")
    name = fields.get("as", key)
    if not isinstance(name, str) or not name:
        raise WorkflowValidationError("memory_read: 'as' must be non-empty text")
    return ReadSpec(
        name=name, key=key, scope=parse_scope(fields), default=_encode_default(fields, name)
    )


def _parse_write(form: Any) -> RecordWrite:
    fields = {"key": form} if isinstance(form, str) else form
    fields = check_fields(fields, "memory_write", ("key", "scope", "ttl", "mode", "max_items"))
    if not isinstance(fields["key"], str) or not fields["key"]:
        raise WorkflowValidationError("memory_write: 'key' must be non-empty text")
    mode = fields.get("mode", "set")
    if mode not in MODES:
        raise WorkflowValidationError(
            f"memory_write: unknown mode: it is one of {', '.join(MODES)}."
            f"{did_you_mean(mode, MODES)}"
        )
    return RecordWrite(
        key=fields["key"],
        scope=parse_scope(fields),
        ttl=_check_ttl(fields.get("ttl")),
        mode=mode,
        max_items=_check_max_items(fields, mode),
    )


def check_fields(form: Any, what: str, known: Sequence[str]) -> Mapping[str, Any]:
    """Return a dict that has a key, and no unknown field. Raises WorkflowValidationError."""
    if not isinstance(form, Mapping) or "key" not in form:
        raise WorkflowValidationError(f"{what} takes keys, or dicts that have a 'key'")
    for field in form:
        if field not in known:
            raise WorkflowValidationError(
                f"{what} has no field {field!r}.{did_you_mean(field, known)} "
                f"It takes {', '.join(known)}"
            )
    return form


def _check_key(key: Any, what: str) -> str:
    return validate_name(key, f"{what}: the key", WorkflowValidationError)


def parse_scope(fields: Mapping[str, Any]) -> Scope | None:
    """Return the scope of a dict; None if it has none. Raises WorkflowValidationError."""
    scope = fields.get("scope")
    if scope is not None and scope not in SCOPES:
        raise WorkflowValidationError(
            f"unknown scope: it is one of {', '.join(SCOPES)}.{did_you_mean(scope, SCOPES)}"
        )
    known: Scope | None = scope
    return known


def _encode_default(fields: Mapping[str, Any], name: str) -> bytes | None:
    if "default" not in fields:
        return None
    try:
        return codec.encode(fields["default"], Address(Space("", "global", ""), name))
    except FibonacciError as error:
        raise WorkflowValidationError(f"memory_read: the default of {error}") from None


def _check_ttl(ttl: Any) -> Any:
    try:
        if ttl is not None:
            ttl_to_ms(ttl)
    except FibonacciError as error:
        raise WorkflowValidationError(f"memory_write: {error}") from None
    return ttl


def _check_max_items(fields: Mapping[str, Any], mode: Mode) -> int | None:
    max_items: Any = fields.get("max_items")
    if max_items is None:
        return None
    if not is_count(max_items):
        raise WorkflowValidationError("memory_write: max_items must be a whole number, 1 or more")
    if mode != "append":
        raise WorkflowValidationError('memory_write: max_items needs mode "append"')
    return max_items
