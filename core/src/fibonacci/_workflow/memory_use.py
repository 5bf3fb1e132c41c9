"""memory_read and memory_write: what users write, checked and made one form."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from fibonacci._memory import codec
from fibonacci._memory.addresses import checked_name
from fibonacci._memory.expiry import milliseconds
from fibonacci._memory.recall import Wanted
from fibonacci._workflow.memory_forms import Mode, ReadForm, WriteForm
from fibonacci.errors import FibonacciError, WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin.address import SCOPES, Address, Scope, Space

MODES: Final[tuple[Mode, ...]] = ("set", "append", "increment")


@attrs.frozen(kw_only=True)
class RecordWrite:
    """One record that a node writes with its output."""

    key: str
    """May hold templates."""
    scope: Scope | None = None
    """None: the run's user where it has one, else the workflow."""
    ttl: Any = None
    """Seconds, NO_EXPIRY, or None for the memory's default."""
    mode: Mode = "set"
    """Replace the value, add the output to the end of a list, or add it to a number."""
    max_items: int | None = None
    """How many of the newest elements an appended list keeps, or fewer where bytes run out; None:
    all."""


def reads(given: ReadForm) -> tuple[Wanted, ...]:
    """Return what ``memory_read`` asks for: names, or dicts with key, scope, default and as."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise WorkflowValidationError(
            'memory_read must be a list of keys such as ["history"], or of dicts'
        )
    wanted = tuple(_read(one) for one in given)
    names = [one.name for one in wanted]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise WorkflowValidationError(
            f"memory_read has the name {twice!r} twice: give one of them another with 'as'"
        )
    return wanted


def writes(given: WriteForm) -> tuple[RecordWrite, ...]:
    """Return what ``memory_write`` asks for: a key, a dict, or a list of them."""
    if given is None:
        return ()
    if isinstance(given, str | Mapping):
        return (_write(given),)
    if not isinstance(given, Sequence):
        raise WorkflowValidationError(
            "memory_write must be a key, a dict such as {'key': 'summary', 'scope': 'user'}, "
            "or a list of them"
        )
    return tuple(_write(one) for one in given)


def _read(given: Any) -> Wanted:
    if isinstance(given, str):
        return Wanted(name=given, key=_key(given, "memory_read"))
    fields = _fields(given, "memory_read", ("key", "scope", "default", "as"))
    key = _key(fields["key"], "memory_read")
    name = fields.get("as", key)
    if not isinstance(name, str) or not name:
        raise WorkflowValidationError("memory_read: 'as' must be text, and not empty")
    return Wanted(name=name, key=key, scope=_scope(fields), default=_default(fields, name))


def _write(given: Any) -> RecordWrite:
    fields = {"key": given} if isinstance(given, str) else given
    fields = _fields(fields, "memory_write", ("key", "scope", "ttl", "mode", "max_items"))
    if not isinstance(fields["key"], str) or not fields["key"]:
        raise WorkflowValidationError("memory_write: 'key' must be text, and not empty")
    mode = fields.get("mode", "set")
    if mode not in MODES:
        raise WorkflowValidationError(
            f"memory_write: unknown mode: it is one of {', '.join(MODES)}."
            f"{did_you_mean(mode, MODES)}"
        )
    return RecordWrite(
        key=fields["key"],
        scope=_scope(fields),
        ttl=_ttl(fields.get("ttl")),
        mode=mode,
        max_items=_max_items(fields, mode),
    )


def _fields(given: Any, what: str, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or "key" not in given:
        raise WorkflowValidationError(f"{what} takes keys, or dicts that have a 'key'")
    for field in given:
        if field not in known:
            raise WorkflowValidationError(
                f"{what} has no field {field!r}.{did_you_mean(field, known)} "
                f"It takes {', '.join(known)}"
            )
    return given


def _key(given: Any, what: str) -> str:
    return checked_name(given, f"{what}: the key", WorkflowValidationError)


def _scope(fields: Mapping[str, Any]) -> Scope | None:
    scope = fields.get("scope")
    if scope is not None and scope not in SCOPES:
        raise WorkflowValidationError(
            f"unknown scope: it is one of {', '.join(SCOPES)}.{did_you_mean(scope, SCOPES)}"
        )
    known: Scope | None = scope
    return known


def _default(fields: Mapping[str, Any], name: str) -> bytes | None:
    if "default" not in fields:
        return None
    try:
        return codec.encode(fields["default"], Address(Space("", "global", ""), name))
    except FibonacciError as fault:
        raise WorkflowValidationError(f"memory_read: the default of {fault}") from None


def _ttl(given: Any) -> Any:
    try:
        if given is not None:
            milliseconds(given)
    except FibonacciError as fault:
        raise WorkflowValidationError(f"memory_write: {fault}") from None
    return given


def _max_items(fields: Mapping[str, Any], mode: Mode) -> int | None:
    most: Any = fields.get("max_items")
    if most is None:
        return None
    if type(most) is not int or most < 1:
        raise WorkflowValidationError("memory_write: max_items must be a whole number, 1 or more")
    if mode != "append":
        raise WorkflowValidationError('memory_write: max_items goes with mode "append" alone')
    return most
