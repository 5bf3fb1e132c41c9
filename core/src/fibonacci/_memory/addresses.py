"""Who may be addressed: the rules for scopes, ids and keys, and the way to a record's address."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from fibonacci.errors import FibonacciError, InvalidKeyError, ScopeError
from fibonacci.plugin._hints import did_you_mean
from fibonacci.plugin.address import SCOPES, Address, Scope, Space

NAME_LIMIT = 1_000
"""Bytes of UTF-8 that a key, an id or a name may have: what the tightest backend takes."""


class _Unsaid(str):
    """The default of every ``scope`` parameter: it reads "workflow", and is told from a given one.

    A view has a scope of its own, and must refuse another one that is asked for by name.
    """


UNSAID: str = _Unsaid("workflow")


def checked_name(name: Any, what: str, error: type[FibonacciError]) -> str:
    """Return the name as plain ``str`` if it may be a part of an address.

    It is text as it is, without folding or trimming: "A" is not "a", and composed characters are
    not the decomposed ones.
    """
    if not isinstance(name, str):
        raise error(f"{what} must be text, not {type(name).__name__}")
    plain: str = str.__str__(name)
    if not plain:
        raise error(f"{what} is empty; it needs at least one character")
    if "\0" in plain:
        raise error(f"{what} has a NUL character in it, at position {plain.index(chr(0))}")
    try:
        size = len(plain.encode())
    except UnicodeEncodeError as fault:
        raise error(
            f"{what} has half of a surrogate pair in it, at position {fault.start}"
        ) from None
    if size > NAME_LIMIT:
        raise error(f"{what} has {size:,} bytes in UTF-8; it may have {NAME_LIMIT:,}")
    return plain


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
        if not isinstance(user_id, str) or not user_id:
            raise ScopeError(
                f'scope="user" needs a user id, as text that is not empty; it was '
                f"{user_id if user_id is None or user_id == '' else type(user_id).__name__!r}. "
                f"Pass user_id=..., or use memory.for_user(...)"
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


class Addresses:
    """The way from what a caller wrote to an address, remembered for the last 1,024 of them.

    The checks take microseconds, and a workflow asks for the same few records again and again.
    """

    def __init__(self, space: Places, *, default_scope_matters: bool) -> None:
        """Address the spaces that ``space`` finds; a view minds whether "workflow" was said."""
        self.space = space

        def checked(key: Any, scope: str, user_id: str | None) -> Address:
            return Address(space(scope, user_id), checked_name(key, "the key", InvalidKeyError))

        remembered = lru_cache(maxsize=1024, typed=default_scope_matters)(checked)

        def find(key: Any, scope: str, user_id: str | None) -> Address:
            try:
                return remembered(key, scope, user_id)
            except TypeError:  # one of them can't be hashed, so it is of a wrong type as well
                return checked(key, scope, user_id)

        self.find = find
        """Return the address of a record; InvalidKeyError or ScopeError."""


def _checked_scope(scope: object) -> Scope:
    if not isinstance(scope, str) or scope not in SCOPES:
        named = repr(scope) if isinstance(scope, str) else type(scope).__name__
        raise ScopeError(
            f"unknown scope {named}: it is one of {', '.join(SCOPES)}.{did_you_mean(scope, SCOPES)}"
        )
    return cast(Scope, str.__str__(scope))
