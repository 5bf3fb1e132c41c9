"""Keys, ids, names and scopes: which addresses exist, and how others are refused (C2 to C4)."""

from typing import Any
from uuid import UUID

import pytest

from fibonacci import (
    ConfigurationError,
    FibonacciError,
    InvalidKeyError,
    MemoryConfig,
    Scope,
    ScopeError,
    Workflow,
)


def shown(value: object) -> str:
    """The repr, without an address in memory: ids of tests are the same in every process."""
    return repr(value).partition(" at 0x")[0]


HUGE = "k" * 70_000

untyped: Any = Workflow
"""For what a type checker would refuse."""


@pytest.fixture
def memory():
    """A memory of its own, with one record."""
    config = MemoryConfig("memory", "memory://keys", organization_id="acme")
    with Workflow("w", config) as workflow:
        workflow.memory.set("k", "old")
        yield workflow.memory
        for scope in ("workflow", "organization", "global"):
            workflow.memory.clear(scope)


@pytest.fixture
def other():
    """A memory of another workflow in the same store."""
    with Workflow("other", MemoryConfig("memory", "memory://keys")) as workflow:
        yield workflow.memory
        workflow.memory.clear()


ODD_NAMES = [
    *(
        "a:b",
        "::",
        "a/b",
        "a%3Ab",
        "%",
        "*",
        "?",
        "[a]",
        "[!a]",
        "{a}",
        "{{ memory.x }}",
        "\\",
        "'",
    ),
    *(" ", " a ", "\n", "\t", "\x01", "\x7f", "é", "e\u0301", "\u212b", "İ", "ß", "😀", "\ufeff"),
    *("A", "a", "None", "default", "v1:w:w:k", "fibonacci:", "../..", "k\u0000".strip("\0"), '"'),
    *("x" * 1_000, "é" * 500, "😀" * 250, "-1", "0", "__proto__", "; DROP TABLE k", "\r\nDEL k"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name[:20]))
def test_any_text_is_a_key(memory, name: str):
    """C2, C3: a key may have any character but NUL, and up to 1,000 bytes."""
    memory.set(name, [name])
    assert memory.get(name) == [name]
    assert name in memory.list_keys()
    assert memory.delete(name)


def test_similar_keys_are_distinct(memory):
    """C2: keys that differ are different records, however similar they look."""
    names = list(dict.fromkeys(ODD_NAMES))
    memory.set_many({name: number for number, name in enumerate(names)})
    assert memory.get_many(names) == {name: number for number, name in enumerate(names)}
    assert memory.list_keys() == sorted({*names, "k"})


@pytest.mark.parametrize("name", ODD_NAMES, ids=lambda name: ascii(name[:20]))
def test_any_text_is_a_user_id_and_a_name(name: str):
    """C3: ids and names follow the rules of keys, and owners are distinct."""
    config = MemoryConfig("memory", "memory://odd-names")
    memory = Workflow(name, config, organization_id=name).memory
    places: list[tuple[Scope, str | None]]
    places = [("workflow", None), ("organization", None), ("user", name)]
    for scope, user in places:
        memory.set("k", scope, scope=scope, user_id=user)
    assert memory.get("k") == "workflow"
    assert memory.get("k", scope="organization") == "organization"
    assert memory.for_user(name).get("k") == "user"
    assert memory.get("k", scope="global") is None


BAD_KEYS: list[tuple[Any, str]] = [
    (None, "the key must be text, not NoneType"),
    (1, "the key must be text, not int: pass str() of it"),
    (UUID(int=1), "the key must be text, not UUID: pass str() of it"),
    (True, "the key must be text, not bool"),
    (1.5, "the key must be text, not float"),
    (b"k", "the key must be text, not bytes"),
    (["k"], "the key must be text, not list"),
    ({"k": 1}, "the key must be text, not dict"),
    ({"k"}, "the key must be text, not set"),
    (("k",), "the key must be text, not tuple"),
    (object(), "the key must be text, not object"),
    ("", "the key is empty; it needs at least one character"),
    ("\0", "the key has a NUL character in it, at position 0"),
    ("ab\0c", "the key has a NUL character in it, at position 2"),
    ("\ud800", "the key has half of a surrogate pair in it, at position 0"),
    ("a\udfff", "the key has half of a surrogate pair in it, at position 1"),
    ("k" * 1_001, "the key has 1,001 bytes in UTF-8; it may have 1,000"),
    ("é" * 501, "the key has 1,002 bytes in UTF-8; it may have 1,000"),
    (HUGE, "the key has 70,000 bytes in UTF-8; it may have 1,000"),
]


@pytest.mark.parametrize(("key", "message"), BAD_KEYS, ids=[text[8:40] for _, text in BAD_KEYS])
def test_invalid_key_is_refused(memory, key: Any, message: str):
    """C3: an invalid key raises InvalidKeyError with the reason; nothing is written."""
    with pytest.raises(InvalidKeyError) as caught:
        memory.set(key, 1)
    assert str(caught.value) == message
    assert memory.list_keys() == ["k"]


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory, key: memory.get(key),
        lambda memory, key: memory.get(key, default=1),
        lambda memory, key: memory.delete(key),
        lambda memory, key: memory.exists(key),
        lambda memory, key: memory.ttl(key),
        lambda memory, key: memory.touch(key, 5),
        lambda memory, key: memory.add(key, 1),
        lambda memory, key: memory.update(key, lambda old: old),
        lambda memory, key: memory.append(key, 1),
        lambda memory, key: memory.increment(key),
        lambda memory, key: memory.get_many(["k", key]),
        lambda memory, key: memory.delete_many(["k", key]),
    ],
    ids="get default delete exists ttl touch add update append increment many gone".split(),  # noqa: SIM905
)
@pytest.mark.parametrize(
    "key", [None, 1, b"k", "", "\0", "\ud800", HUGE], ids=lambda k: repr(k)[:9]
)
def test_every_operation_refuses_an_invalid_key(memory, operation, key: Any):
    """C3: every operation raises the same error for an invalid key, and never returns None."""
    with pytest.raises(InvalidKeyError):
        operation(memory, key)
    assert memory.get("k") == "old"


@pytest.mark.parametrize("keys", [[["unhashable"]], [{}], [object()]])
def test_unhashable_key_in_a_batch_is_refused(memory, keys: Any):
    """C3: a key of a wrong type is refused as such, even if it can't be hashed."""
    with pytest.raises(InvalidKeyError, match="the key must be text"):
        memory.get_many(keys)


def test_set_many_checks_all_keys_before_the_first_write(memory):
    """C3: set_many() writes nothing if one key is invalid."""
    with pytest.raises(InvalidKeyError):
        memory.set_many({"a": 1, "": 2})
    assert memory.list_keys() == ["k"]


class Text(str):
    """A subclass of str with a face of its own."""

    def __str__(self) -> str:
        return "another"

    __repr__ = __str__


class Caseless(str):
    """Equal where the letters are, whatever their case; some libraries have such a type."""

    def __eq__(self, other: object) -> bool:
        return self.lower() == str.lower(other) if isinstance(other, str) else False

    def __hash__(self) -> int:
        return hash(self.lower())


class Anything(str):
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def test_str_subclass_as_key_is_its_text(memory):
    """C3: a key of a subclass of str is the text that it holds."""
    memory.set(Text("held"), 1)
    assert memory.get("held") == 1
    assert memory.list_keys() == ["held", "k"]
    assert type(memory.list_keys()[0]) is str


def test_keys_with_a_false_equality_are_distinct(memory):
    """C2: "A" and "a" are two keys, whatever __eq__ of their class returns."""
    memory.set(Caseless("A"), 1)
    assert memory.get(Caseless("a")) is None
    memory.set(Caseless("a"), 2)
    assert memory.list_keys() == ["A", "a", "k"]


def test_user_ids_with_a_false_equality_are_distinct(memory):
    """C4: two user ids are two users, whatever __eq__ of their class returns."""
    memory.set("k", "of Ann", scope="user", user_id=Caseless("Ann"))
    assert memory.get("k", scope="user", user_id=Caseless("ANN")) is None


def test_scope_with_a_false_equality_is_unknown(memory):
    """C4: a scope is its text, whatever __eq__ of its class returns."""
    with pytest.raises(ScopeError, match="unknown scope"):
        memory.get("k", scope=Anything("everywhere"))


@pytest.mark.parametrize("scope", ["workflow", "organization", "global"])
def test_user_id_with_a_shared_scope_is_refused(memory, scope: str):
    """C4: a user_id with a scope that all users share is refused; the message says what to pass."""
    with pytest.raises(ScopeError) as caught:
        memory.set("k", 1, scope=scope, user_id="ann")
    assert str(caught.value) == (
        f'user_id is only valid with scope="user"; scope {scope!r} is shared by all users. '
        f'Pass scope="user", or leave the user_id out'
    )
    assert memory.get("k") == "old"


def test_user_id_without_a_scope_is_refused(memory):
    """C4: a user_id without a scope is refused: the default scope is the workflow's."""
    with pytest.raises(ScopeError, match='Pass scope="user"'):
        memory.get("k", user_id="ann")


@pytest.mark.parametrize("user", ["", 0, False, b"ann", ["ann"], object()], ids=shown)
def test_empty_user_id_with_a_shared_scope_is_refused(memory, user: Any):
    """C4: any user_id but None is refused with a shared scope, even an empty one."""
    with pytest.raises(ScopeError):
        memory.get("k", user_id=user)


@pytest.mark.parametrize(
    ("user", "named"),
    [
        (None, "None"),
        ("", "''"),
        (0, "of type int: pass str() of it"),
        (7, "of type int: pass str() of it"),
        (b"ann", "of type bytes"),
        (["ann"], "of type list"),
        (False, "of type bool"),
        (object(), "of type object"),
    ],
    ids=shown,
)
def test_user_scope_needs_a_user_id(memory, user: Any, named: str):
    """C4: the user scope refuses a user_id of None, "" or another type."""
    with pytest.raises(ScopeError) as caught:
        memory.set("k", 1, scope="user", user_id=user)
    assert str(caught.value) == (
        f'scope="user" needs a user id, as text that is not empty; it was {named}. '
        f"Pass user_id=..., or use memory.for_user(...)"
    )


@pytest.mark.parametrize("user", ["\0", "\ud800", "u" * 1_001, HUGE], ids=lambda u: ascii(u[:6]))
def test_user_id_follows_the_rules_of_keys(memory, user: str):
    """C3: an invalid user id raises InvalidKeyError, which says that it is the user id."""
    with pytest.raises(InvalidKeyError, match=r"^the user id has "):
        memory.set("k", 1, scope="user", user_id=user)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("usr", "unknown scope 'usr': it is one of S. Did you mean 'user'?"),
        ("User", "unknown scope 'User': it is one of S. Did you mean 'user'?"),
        ("workflows", "unknown scope 'workflows': it is one of S. Did you mean 'workflow'?"),
        ("organisation", "unknown scope 'organisation': it is one of S. Did you mean 'organi"),
        ("", "unknown scope '': it is one of S."),
        ("x", "unknown scope 'x': it is one of S."),
    ],
    ids=shown,
)
def test_unknown_scope_is_refused(memory, scope: Any, message: str):
    """C4: an unknown scope is refused; the message lists the four scopes and the most similar."""
    scopes = "workflow, user, organization, global"
    with pytest.raises(ScopeError) as caught:
        memory.get("k", scope=scope)
    assert str(caught.value).startswith(message.replace("one of S", f"one of {scopes}"))


@pytest.mark.parametrize("scope", [None, 1, True, b"user", ["user"], object()], ids=shown)
def test_error_of_a_scope_shows_its_type(memory, scope: Any):
    """C4: a scope that is not text is refused with its type and the four scopes."""
    with pytest.raises(ScopeError) as caught:
        memory.get("k", scope=scope)
    assert "workflow, user, organization, global" in str(caught.value)
    assert type(scope).__name__ in str(caught.value)


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory: memory.clear("usr"),
        lambda memory: memory.list_keys("usr"),
        lambda memory: memory.iter_keys(scope="usr"),
        lambda memory: memory.clear("user"),
        lambda memory: memory.list_keys("user"),
        lambda memory: memory.iter_keys(scope="user"),
        lambda memory: memory.get_many([], "usr"),
        lambda memory: memory.delete_many([], "user"),
        lambda memory: memory.set_many({}, "usr"),
    ],
)
def test_operations_without_a_key_check_the_scope(memory, operation):
    """C4: operations without a key check the scope at once, even if there is nothing to do."""
    with pytest.raises(ScopeError):
        operation(memory)


def test_scopes_are_separate(memory, other):
    """C6: the same key in four scopes of two workflows is a different record each time."""
    memory.set("k", "user", scope="user", user_id="ann")
    memory.set("k", "organization", scope="organization")
    memory.set("k", "global", scope="global")
    assert other.get("k") is None
    assert other.get("k", scope="user", user_id="ann") == "user"
    assert other.get("k", scope="user", user_id="bob") is None
    assert other.get("k", scope="organization") is None
    assert other.for_organization("acme").get("k") == "organization"
    assert other.get("k", scope="global") == "global"
    memory.clear("user", "ann")


def test_view_has_its_space_only(memory):
    """C4: a view has the same operations, over its own scope and owner only."""
    ann = memory.for_user("ann")
    ann.set("k", 1)
    assert memory.get("k", scope="user", user_id="ann") == 1
    assert ann.get("k", scope="user", user_id="ann") == 1
    assert memory.for_user("bob").list_keys() == []
    assert ann.clear()
    acme = memory.for_organization("acme")
    acme.set("k", 2)
    assert memory.get("k", scope="organization") == 2
    assert acme.get("k", scope="organization") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"scope": "workflow"},
        {"scope": "organization"},
        {"scope": "global"},
        {"user_id": "bob"},
        {"user_id": ""},
        {"scope": "user", "user_id": "bob"},
        {"scope": "usr"},
        {"scope": None},
    ],
    ids=shown,
)
def test_user_view_refuses_another_scope_or_id(memory, arguments: dict[str, Any]):
    """C4: a user's view refuses another scope or user_id."""
    with pytest.raises(ScopeError):
        memory.for_user("ann").get("k", **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"scope": "workflow"}, {"scope": "user"}, {"user_id": "ann"}, {"user_id": "acme"}],
    ids=shown,
)
def test_organization_view_refuses_another_scope_or_any_user(memory, arguments):
    """C4: an organization's view refuses any user_id, even one equal to its own id."""
    with pytest.raises(ScopeError):
        memory.for_organization("acme").get("k", **arguments)


def test_error_of_a_view_does_not_show_the_other_id(memory):
    """C4: the message of a view names its own scope and owner, and not the refused id."""
    with pytest.raises(ScopeError) as caught:
        memory.for_user("ann").get("k", user_id="bob")
    assert str(caught.value) == (
        "this view has only the user scope of 'ann', and another user_id was passed: "
        "use memory.for_user(...)"
    )
    with pytest.raises(ScopeError) as caught:
        memory.for_user("ann").get("k", scope="global")
    assert str(caught.value) == (
        "this view has only the user scope, not scope 'global': use the workflow's memory"
    )


@pytest.mark.parametrize("user", [None, "", 1, b"u"], ids=shown)
def test_view_needs_a_user_id(memory, user: Any):
    """C4: for_user() refuses an invalid user id at once."""
    with pytest.raises(ScopeError):
        memory.for_user(user)


@pytest.mark.parametrize(
    "owner", [None, "", 1, b"o", "\0", "\ud800", HUGE], ids=lambda o: repr(o)[:9]
)
def test_view_needs_an_organization_id(memory, owner: Any):
    """C4: for_organization() refuses an invalid organization id at once."""
    with pytest.raises(ScopeError, match=r"^the organization id "):
        memory.for_organization(owner)


@pytest.mark.parametrize(
    "name", [None, "", 1, b"w", "\0", "\ud800", HUGE], ids=lambda n: repr(n)[:9]
)
def test_workflow_needs_a_name(name: Any):
    """C3: a Workflow's name follows the rules of keys."""
    with pytest.raises(ConfigurationError, match=r"^the workflow's name "):
        Workflow(name)


def test_workflow_refuses_other_configs():
    """A Workflow refuses a dict or a URL instead of a MemoryConfig, and shows only its type."""
    with pytest.raises(
        ConfigurationError, match=r"^memory_config must be a MemoryConfig, not str$"
    ):
        untyped("w", "redis://u:secret@h")


@pytest.mark.parametrize("keys", ["k", b"k", None, 5], ids=shown)
def test_batch_needs_a_list_of_keys(memory, keys: Any):
    """A batch operation refuses a single text, instead of using its letters as keys."""
    with pytest.raises(FibonacciError, match="keys must be a list of keys"):
        memory.get_many(keys)
