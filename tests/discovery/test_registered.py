"""Plugins registered in this process, by ``register_plugin``."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fibonacci
from fibonacci import MemoryConfig, PluginNotFoundError, Workflow, register_plugin
from fibonacci.plugin import Backend, Store, StoreSettings, hookimpl

Install = Callable[..., Path]


class Refusing(Backend):
    """A backend that tells which one it is, as soon as it is connected to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_store(self) -> Store:
        raise fibonacci.BackendUnavailableError(self.name)


def toy(name: str) -> SimpleNamespace:
    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        return Refusing(name)

    return SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)


def chosen(backend: str) -> str:
    """Which of the toys answers to this name."""
    with pytest.raises(fibonacci.BackendUnavailableError) as caught:
        Workflow("w", MemoryConfig(backend)).memory.get("k")
    return str(caught.value)


def test_a_plugin_is_registered_for_the_length_of_a_block():
    """Inside ``with`` it is found; after it, it is unknown again."""
    with register_plugin("storage", "toy", toy("mine")):
        assert chosen("toy") == "mine"
    with pytest.raises(PluginNotFoundError):
        Workflow("w", MemoryConfig("toy"))


def test_a_plugin_is_registered_at_once_and_until_it_is_undone():
    """Without ``with``, ``undo`` ends it; undone twice is undone."""
    registration = register_plugin("storage", "toy", toy("mine"))
    assert chosen("toy") == "mine"
    registration.undo()
    registration.undo()
    with pytest.raises(PluginNotFoundError):
        Workflow("w", MemoryConfig("toy"))


def test_undoing_inside_the_block_is_fine():
    """The end of the block then has nothing left to do."""
    with register_plugin("storage", "toy", toy("mine")) as registration:
        registration.undo()
        with pytest.raises(PluginNotFoundError):
            Workflow("w", MemoryConfig("toy"))


def test_the_newest_registration_goes_first():
    """Nested registrations cover each other, and come to light again."""
    with register_plugin("storage", "toy", toy("outer")):
        with register_plugin("storage", "toy", toy("inner")):
            assert chosen("toy") == "inner"
        assert chosen("toy") == "outer"


def test_registrations_may_be_undone_in_any_order():
    """Undoing the older one leaves the newer in its place."""
    older = register_plugin("storage", "toy", toy("older"))
    with register_plugin("storage", "toy", toy("newer")):
        older.undo()
        assert chosen("toy") == "newer"


def test_the_same_object_may_be_registered_twice():
    """Each registration is its own: undoing one leaves the other."""
    plugin = toy("mine")
    with register_plugin("storage", "toy", plugin):
        register_plugin("storage", "toy", plugin).undo()
        assert chosen("toy") == "mine"


def test_a_registered_plugin_goes_before_an_installed_one(install: Install):
    """So a test or an application can put its own in the place of any."""
    install("toy-under", storage={"under": "toy_under"}, toy_under=None)
    with register_plugin("storage", "under", toy("over")):
        assert chosen("under") == "over"
    assert Workflow("w", MemoryConfig("under")).memory.set("k", 1)


def test_a_registered_plugin_goes_before_the_default_one():
    """``memory`` can be covered as well, and comes back."""
    with register_plugin("storage", "memory", toy("instead")):
        assert chosen("memory") == "instead"
    assert Workflow("w").memory.set("k", 1)


def test_a_registered_plugin_settles_a_conflict(install: Install):
    """Two installed ones don't matter while one is registered."""
    install("toy-p", storage={"pair": "toy_p"}, toy_p=None)
    install("toy-q", storage={"pair": "toy_q"}, toy_q=None)
    with register_plugin("storage", "pair", toy("third")):
        assert chosen("pair") == "third"


def test_a_workflow_keeps_the_plugin_that_it_was_made_with():
    """Undoing a registration takes nothing from those who use it."""
    with register_plugin("storage", "toy", toy("kept")):
        memory = Workflow("w", MemoryConfig("toy")).memory
    with pytest.raises(fibonacci.BackendUnavailableError, match="kept"):
        memory.get("k")


def test_a_registered_plugin_is_listed_without_a_distribution():
    """It came from no wheel, so it has neither distribution nor version."""
    with register_plugin("encryption", "toy", toy("mine")):
        assert (
            fibonacci.PluginInfo(
                kind="encryption", name="toy", distribution=None, version=None, state="available"
            )
            in fibonacci.plugins()
        )


def test_errors_say_that_a_plugin_was_registered_here():
    """The label of a registered plugin has no distribution to name."""
    with (
        register_plugin("storage", "bare", SimpleNamespace(FIBONACCI_SPEC_VERSION=1)),
        pytest.raises(fibonacci.PluginLoadError) as caught,
    ):
        Workflow("w", MemoryConfig("bare"))
    assert str(caught.value) == "backend 'bare' (registered here) has no hook fibonacci_storage"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("storge", "unknown kind of plugin 'storge'. Did you mean 'storage'? "),
        ("xyz", "unknown kind of plugin 'xyz'. "),
        ("", "unknown kind of plugin ''. "),
        (None, "unknown kind of plugin None. "),
    ],
)
def test_an_unknown_kind_is_refused(kind: Any, text: str):
    """The message lists the kinds there are."""
    with pytest.raises(PluginNotFoundError) as caught:
        register_plugin(kind, "toy", toy("mine"))
    assert str(caught.value) == f"{text}There are: storage, encryption, templating, models"


def test_the_hook_gets_the_settings_of_the_workflow():
    """URL, options and timeout arrive; the key prefix and the encryption key do not."""
    seen: list[StoreSettings] = []

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        seen.append(settings)
        return Refusing("toy")

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "toy", plugin):
        config = MemoryConfig(
            "toy", "toy://h:1/p?a=1", "px:", 9, options={"b": 2}, timeout=1.5, encryption_key="key"
        )
        with pytest.warns(UserWarning, match="stored in plaintext"):
            Workflow("w", config)
    (settings,) = seen
    assert settings.url is not None
    assert (settings.url.hosts, settings.url.query) == ((("h", 1),), {"a": "1"})
    assert (settings.options, settings.timeout) == ({"b": 2}, 1.5)
    assert "px:" not in repr(settings)
    assert "key" not in repr(settings)


def test_the_hook_is_asked_when_the_workflow_is_made():
    """Settings are checked before anything is used, and the store is not connected to."""
    asked: list[StoreSettings] = []

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        asked.append(settings)
        return Refusing("toy")

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "toy", plugin):
        workflow = Workflow("w", MemoryConfig("toy"))
        assert len(asked) == 1
    workflow.close()


def test_stores_with_other_objects_among_their_options_are_not_shared():
    """C22: options that differ make another store, also once the first object is gone."""

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        return Refusing(settings.options["who"].name)

    class Someone:
        def __init__(self, name: str) -> None:
            self.name = name

    def reached(name: str, kept: list[Workflow]) -> str:
        kept.append(Workflow("w", MemoryConfig("toy", options={"who": Someone(name)})))
        with pytest.raises(fibonacci.BackendUnavailableError) as caught:
            kept[-1].memory.get("k")
        return str(caught.value)

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    kept: list[Workflow] = []
    with register_plugin("storage", "toy", plugin):
        names = [f"user {number}" for number in range(50)]
        assert [reached(name, kept) for name in names] == names


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ({}, {}, True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": None}, {}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": [1, "x"]}, {"a": [1, "x"]}, True),
        ({"a": [1, "x"]}, {"a": ["x", 1]}, False),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, False),
        ({"a": len}, {"a": len}, True),
        ({"a": {1}}, {"a": {1}}, False),
    ],
    ids=repr,
)
def test_a_store_is_shared_where_the_options_are_the_same(one: Any, other: Any, shared: bool):
    """C22: equal text, numbers, lists and dicts; of anything else, the very same object."""
    names = count()

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        return Refusing(f"backend {next(names)}")

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "toy", plugin):
        workflows = [Workflow("w", MemoryConfig("toy", options=given)) for given in (one, other)]
    answers = set()
    for workflow in workflows:
        with pytest.raises(fibonacci.StorageError) as caught:
            workflow.memory.get("k")
        answers.add(str(caught.value))
    assert len(answers) == (1 if shared else 2)
    for workflow in workflows:
        workflow.close()


@pytest.mark.parametrize(("kind", "name"), [([], "x"), ("storage", ""), ("storage", 3)])
def test_kind_and_name_are_texts(kind, name):
    """Anything else is refused at once."""
    with pytest.raises(PluginNotFoundError):
        register_plugin(kind, name, object())
