"""Who may be addressed: the rules for scopes, ids and keys, and the way to a record's address."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

from fibonacci.errors import FibonacciError, InvalidKeyError, ScopeError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import SCOPES, Address, Scope, Space, name_problem


class _Unsaid(str):
    """The default of every ``scope`` parameter: it reads "workflow", and is told from a given one.

    A view has a scope of its own, and must refuse another one that is asked for by name; the memory
    of a run with a user takes it for that user's scope.
    """


UNSAID: Scope = cast(Scope, _Unsaid("workflow"))


def checked_name(name: Any, what: str, error: type[FibonacciError]) -> str:
    """Return the name as plain ``str`` if it may be a part of an address."""
    if not issubclass(type(name), str):
        raise error(f"{what} must be text, not {type(name).__name__}{as_text(name)}")
    plain: str = str.__str__(name)
    fault = name_problem(plain)
    if fault is not None:
        raise error(f"{what} {fault}")
    return plain


def as_text(name: Any) -> str:
    """What to do with a number or a UUID that came as a name, as advice behind an error."""
    return ": pass str() of it" if type(name) is int or type(name).__name__ == "UUID" else ""


Places = Callable[[str, str | None], Space]
"""Finds the space for a scope and a user id as a caller gave them."""


def all_scopes(prefix: str, workflow: str, organization: str) -> Places:
    """Return the way to the spaces of all four scopes: what a MemoryManager addresses."""
    owners = {"workflow": workflow, "organization": organization, "global": ""}

    def place(scope: str, user_id: str | None) -> Space:
        known = _checked_scope(scope)
        if known != "user":
            if user_id is not None:
                raise ScopeError(
                    f"a user_id came with scope {known!r}, where all would share the record: "
                    f'say scope="user", or leave the user_id out'
                )
            return Space(prefix, known, owners[known])
        if not issubclass(type(user_id), str) or not user_id:
            empty = user_id is None or issubclass(type(user_id), str)
            told = repr(user_id) if empty else f"of type {type(user_id).__name__}"
            raise ScopeError(
                f'scope="user" needs a user id, as text that is not empty; it was {told}'
                f"{as_text(user_id)}. Pass user_id=..., or use memory.for_user(...)"
            )
        return Space(prefix, "user", checked_name(user_id, "the user id", InvalidKeyError))

    return place


def one_space(space: Space) -> Places:
    """Return the way to one space alone: what a view addresses."""

    def place(scope: str, user_id: str | None) -> Space:
        if scope is not UNSAID and _checked_scope(scope) != space.scope:
            raise ScopeError(
                f"this view is of {space.scope} scope alone, and was asked for scope {scope!r}: "
                f"use the workflow's memory"
            )
        if user_id is not None and (space.scope != "user" or user_id != space.owner):
            raise ScopeError(
                f"this view is of {space.scope} {space.owner!r} alone, and was given another "
                f"user_id: use memory.for_user(...)"
            )
        return space

    return place


def reachable(spaces: Mapping[Scope, Space], default: Scope) -> Places:
    """Return the way to the spaces of one run; its user scope is that of the run's own user.

    ``default`` is the scope of a verb that names none.
    """

    def place(scope: str, user_id: str | None) -> Space:
        known = default if scope is UNSAID else _checked_scope(scope)
        if known not in spaces:
            raise ScopeError(
                f"scope {known!r} needs a user, and this run has none: execute(..., user_id=...)"
            )
        if user_id is not None and (known != "user" or user_id != spaces[known].owner):
            raise ScopeError(
                "this memory is bound to one run, and was given another user_id: leave it out, "
                "or use the workflow's memory"
            )
        return spaces[known]

    return place


def named_only(places: Places) -> Places:
    """Return the same way, for verbs that take all records of a scope: they have to name it."""

    def place(scope: str, user_id: str | None) -> Space:
        if scope is UNSAID:
            raise ScopeError(
                "this concerns all records of a scope, and the run has a user: name the scope, "
                'scope="user" for what is known of this user, or scope="workflow"'
            )
        return places(scope, user_id)

    return place


class Addresses:
    """The way from what a caller wrote to an address, remembered for the last 1,024 of them.

    The checks take microseconds, and a workflow asks for the same few records again and again.
    """

    def __init__(self, space: Places, whole: Places | None = None) -> None:
        """Address the spaces that ``space`` finds; and ``whole``, for all records of one."""
        self.space = space
        self.whole = space if whole is None else whole

        def checked(key: Any, scope: str, user_id: str | None) -> Address:
            return Address(space(scope, user_id), checked_name(key, "the key", InvalidKeyError))

        # Typed, so that the default scope and a said "workflow" stay two.
        @lru_cache(maxsize=1024, typed=True)
        def remembered(key: Any, scope: str, user_id: str | None) -> Address:
            if not {type(key), type(scope), type(user_id)} <= _TRUSTED:
                raise TypeError
            return checked(key, scope, user_id)

        def find(key: Any, scope: str, user_id: str | None) -> Address:
            try:
                return remembered(key, scope, user_id)
            except FibonacciError:
                raise
            except TypeError as fault:  # not to be hashed, or not to be trusted to be equal
                raise_for_signal(fault)
                return checked(key, scope, user_id)

        self.find = find
        """Return the address of a record; InvalidKeyError or ScopeError."""


_TRUSTED = {str, _Unsaid, type(None)}


def _checked_scope(scope: Any) -> Scope:
    plain = str.__str__(scope) if issubclass(type(scope), str) else None
    if plain not in SCOPES:
        named = type(scope).__name__ if plain is None else repr(plain[:40])
        raise ScopeError(
            f"unknown scope {named}: it is one of {', '.join(SCOPES)}.{did_you_mean(plain, SCOPES)}"
        )
    return plain
