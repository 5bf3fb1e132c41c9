"""Resolves a key, a scope and a user id to a record's address, by the rules for all of them."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

from fibonacci.errors import FibonacciError, InvalidKeyError, ScopeError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import SCOPES, Address, Scope, Space, name_problem


class _DefaultScope(str):
    """The default of each ``scope`` parameter: equal to "workflow", but of another type.

    A view has its own scope, and must refuse any other that is passed explicitly; the memory of a
    run with a user takes the default for that user's scope.
    """


DEFAULT_SCOPE: Scope = cast(Scope, _DefaultScope("workflow"))

USER_SCOPE: Scope = cast(Scope, _DefaultScope("user"))
"""The default where records are usually a user's."""


def validate_name(name: Any, what: str, error: type[FibonacciError]) -> str:
    """Return the name as an exact ``str`` if it may be a part of an address."""
    if not issubclass(type(name), str):
        raise error(f"{what} must be text, not {type(name).__name__}{_str_hint(name)}")
    plain: str = str.__str__(name)
    problem = name_problem(plain)
    if problem is not None:
        raise error(f"{what} {problem}")
    return plain


def _str_hint(name: Any) -> str:
    """The end of a message about a name that is an int or a UUID: how to make it text."""
    return ": pass str() of it" if type(name) is int or type(name).__name__ == "UUID" else ""


SpaceResolver = Callable[[str, str | None], Space]
"""Returns the space for a scope and a user id as a caller passed them; ScopeError."""


def manager_resolver(prefix: str, workflow: str, organization: str) -> SpaceResolver:
    """Return the resolver of a MemoryManager: the spaces of all four scopes."""
    owners = {"workflow": workflow, "organization": organization, "global": ""}

    def resolve_space(scope: str, user_id: str | None) -> Space:
        known = _validate_scope(scope)
        if known != "user":
            if user_id is not None:
                raise ScopeError(
                    f'user_id is only valid with scope="user"; scope {known!r} is shared by all '
                    f'users. Pass scope="user", or leave the user_id out'
                )
            return Space(prefix, known, owners[known])
        if not issubclass(type(user_id), str) or not user_id:
            empty = user_id is None or issubclass(type(user_id), str)
            shown = repr(user_id) if empty else f"of type {type(user_id).__name__}"
            raise ScopeError(
                f'scope="user" needs a user id, as text that is not empty; it was {shown}'
                f"{_str_hint(user_id)}. Pass user_id=..., or use memory.for_user(...)"
            )
        return Space(prefix, "user", validate_name(user_id, "the user id", InvalidKeyError))

    return resolve_space


def view_resolver(space: Space) -> SpaceResolver:
    """Return the resolver of a view: its one space."""

    def resolve_space(scope: str, user_id: str | None) -> Space:
        if type(scope) is not _DefaultScope and _validate_scope(scope) != space.scope:
            raise ScopeError(
                f"this view has only the {space.scope} scope, not scope {scope!r}: "
                f"use the workflow's memory"
            )
        if user_id is not None and (space.scope != "user" or user_id != space.owner):
            raise ScopeError(
                f"this view has only the {space.scope} scope of {space.owner!r}, and another "
                f"user_id was passed: use memory.for_user(...)"
            )
        return space

    return resolve_space


def run_resolver(spaces: Mapping[Scope, Space], default: Scope) -> SpaceResolver:
    """Return the resolver of one run's memory; its user scope is that of the run's user.

    ``default`` is the scope of a call that names none.
    """

    def resolve_space(scope: str, user_id: str | None) -> Space:
        known = default if scope is DEFAULT_SCOPE else _validate_scope(scope)
        if known not in spaces:
            raise ScopeError(
                f"scope {known!r} needs a user, and this run has none: execute(..., user_id=...)"
            )
        if user_id is not None and (known != "user" or user_id != spaces[known].owner):
            raise ScopeError(
                "this memory is bound to one run, and another user_id was passed: leave it out, "
                "or use the workflow's memory"
            )
        return spaces[known]

    return resolve_space


def require_scope(resolver: SpaceResolver) -> SpaceResolver:
    """Return the resolver for operations on all records of a scope: the caller must name it."""

    def resolve_space(scope: str, user_id: str | None) -> Space:
        if scope is DEFAULT_SCOPE:
            raise ScopeError(
                "this concerns all records of a scope, and the run has a user: name the scope, "
                'scope="user" for the records of this user, or scope="workflow"'
            )
        return resolver(scope, user_id)

    return resolve_space


class AddressResolver:
    """Resolves what a caller passed to an address; the last 1,024 results are cached.

    The checks take microseconds, and a workflow uses the same few records again and again.
    """

    def __init__(
        self, resolve_space: SpaceResolver, resolve_whole_space: SpaceResolver | None = None
    ) -> None:
        """Use ``resolve_whole_space`` for operations on all records of a space."""
        self.resolve_space = resolve_space
        self.resolve_whole_space = (
            resolve_space if resolve_whole_space is None else resolve_whole_space
        )

        def build(key: Any, scope: str, user_id: str | None) -> Address:
            space = resolve_space(scope, user_id)
            return Address(space, validate_name(key, "the key", InvalidKeyError))

        # Typed, so that the default scope and an explicit "workflow" stay apart.
        @lru_cache(maxsize=1024, typed=True)
        def cached(key: Any, scope: str, user_id: str | None) -> Address:
            if not {type(key), type(scope), type(user_id)} <= _CACHEABLE_TYPES:
                raise TypeError
            return build(key, scope, user_id)

        def resolve(key: Any, scope: str, user_id: str | None) -> Address:
            try:
                return cached(key, scope, user_id)
            except FibonacciError:
                raise
            except TypeError as error:  # not hashable, or of a type with its own equality
                raise_for_signal(error)
                return build(key, scope, user_id)

        self.resolve = resolve
        """Return the address of a record; InvalidKeyError or ScopeError."""


_CACHEABLE_TYPES = {str, _DefaultScope, type(None)}


def _validate_scope(scope: Any) -> Scope:
    plain = str.__str__(scope) if issubclass(type(scope), str) else None
    if plain not in SCOPES:
        shown = type(scope).__name__ if plain is None else repr(plain[:40])
        raise ScopeError(
            f"unknown scope {shown}: it is one of {', '.join(SCOPES)}.{did_you_mean(plain, SCOPES)}"
        )
    return plain
