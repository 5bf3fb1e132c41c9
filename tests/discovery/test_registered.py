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
    """A backend that raises its name on connecting."""

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
    """Return the toy that this name resolves to."""
    with pytest.raises(fibonacci.BackendUnavailableError) as caught:
        Workflow("w", MemoryConfig(backend)).memory.get("k")
    return str(caught.value)


def test_a_plugin_is_registered_for_the_length_of_a_block():
    """A plugin registered in a ``with`` block is unknown after it."""
    with register_plugin("storage", "toy", toy("mine")):
        assert chosen("toy") == "mine"
    with pytest.raises(PluginNotFoundError):
        Workflow("w", MemoryConfig("toy"))


def test_a_plugin_is_registered_until_it_is_undone():
    """Without ``with``, ``undo`` ends a registration; a second call does nothing."""
    registration = register_plugin("storage", "toy", toy("mine"))
    assert chosen("toy") == "mine"
    registration.undo()
    registration.undo()
    with pytest.raises(PluginNotFoundError):
        Workflow("w", MemoryConfig("toy"))


def test_undoing_inside_the_block_is_fine():
    """The end of the block does nothing after ``undo`` inside it."""
    with register_plugin("storage", "toy", toy("mine")) as registration:
        registration.undo()
        with pytest.raises(PluginNotFoundError):
            Workflow("w", MemoryConfig("toy"))


def test_the_newest_registration_takes_precedence():
    """Nested registrations cover each other, and reappear."""
    with register_plugin("storage", "toy", toy("outer")):
        with register_plugin("storage", "toy", toy("inner")):
            assert chosen("toy") == "inner"
        assert chosen("toy") == "outer"


def test_registrations_may_be_undone_in_any_order():
    """Undoing the older registration leaves the newer one."""
    older = register_plugin("storage", "toy", toy("older"))
    with register_plugin("storage", "toy", toy("newer")):
        older.undo()
        assert chosen("toy") == "newer"


def test_the_same_object_may_be_registered_twice():
    """Undoing one of two registrations of an object leaves the other."""
    plugin = toy("mine")
    with register_plugin("storage", "toy", plugin):
        register_plugin("storage", "toy", plugin).undo()
        assert chosen("toy") == "mine"


def test_a_registered_plugin_takes_precedence_over_an_installed_one(install: Install):
    """A test or an application can replace any installed plugin."""
    install("toy-under", storage={"under": "toy_under"}, toy_under=None)
    with register_plugin("storage", "under", toy("over")):
        assert chosen("under") == "over"
    assert Workflow("w", MemoryConfig("under")).memory.set("k", 1)


def test_a_registered_plugin_takes_precedence_over_the_default_one():
    """A registered ``memory`` covers the default backend, which reappears."""
    with register_plugin("storage", "memory", toy("instead")):
        assert chosen("memory") == "instead"
    assert Workflow("w").memory.set("k", 1)


def test_a_registered_plugin_settles_a_conflict(install: Install):
    """A registration takes precedence over two installed plugins of one name."""
    install("toy-p", storage={"pair": "toy_p"}, toy_p=None)
    install("toy-q", storage={"pair": "toy_q"}, toy_q=None)
    with register_plugin("storage", "pair", toy("third")):
        assert chosen("pair") == "third"


def test_a_workflow_keeps_its_plugin():
    """Undoing a registration does not affect workflows that use it."""
    with register_plugin("storage", "toy", toy("kept")):
        memory = Workflow("w", MemoryConfig("toy")).memory
    with pytest.raises(fibonacci.BackendUnavailableError, match="kept"):
        memory.get("k")


def test_a_registered_plugin_is_listed_without_a_distribution():
    """A registered plugin has neither distribution nor version in the list."""
    with register_plugin("encryption", "toy", toy("mine")):
        assert (
            fibonacci.PluginInfo(
                kind="encryption", name="toy", distribution=None, version=None, state="available"
            )
            in fibonacci.plugins()
        )


def test_errors_say_that_a_plugin_was_registered_here():
    """The label of a registered plugin names no distribution."""
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
    """The error lists the known kinds."""
    with pytest.raises(PluginNotFoundError) as caught:
        register_plugin(kind, "toy", toy("mine"))
    assert str(caught.value) == f"{text}There are: storage, encryption, templating, models"


def test_the_hook_gets_the_settings_of_the_workflow():
    """The hook receives URL, options and timeout, but neither key prefix nor encryption key."""
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


def test_the_hook_is_called_when_the_workflow_is_created():
    """Settings are checked when the workflow is created; the store connects later."""
    received: list[StoreSettings] = []

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        received.append(settings)
        return Refusing("toy")

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "toy", plugin):
        workflow = Workflow("w", MemoryConfig("toy"))
        assert len(received) == 1
    workflow.close()


def test_stores_with_different_objects_as_options_are_not_shared():
    """C22: options that differ give another store, also after the first object is gone."""

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
def test_stores_with_equal_options_are_shared(one: Any, other: Any, shared: bool):
    """C22: equal text, numbers, lists and dicts share a store; other options by identity."""
    names = count()

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        return Refusing(f"backend {next(names)}")

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "toy", plugin):
        workflows = [Workflow("w", MemoryConfig("toy", options=chosen)) for chosen in (one, other)]
    answers = set()
    for workflow in workflows:
        with pytest.raises(fibonacci.StorageError) as caught:
            workflow.memory.get("k")
        answers.add(str(caught.value))
    assert len(answers) == (1 if shared else 2)
    for workflow in workflows:
        workflow.close()


@pytest.mark.parametrize(("kind", "name"), [([], "x"), ("storage", ""), ("storage", 3)])
def test_kind_and_name_must_be_text(kind, name):
    """A kind or a name that is not text is refused at once."""
    with pytest.raises(PluginNotFoundError):
        register_plugin(kind, name, object())
