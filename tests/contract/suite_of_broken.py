"""The suite on broken stores: those that the environment names, a class each."""

import os

import pytest
from broken import BROKEN, BROKEN_ASYNC
from minimal import MinimalStore, toy_plugin

from fibonacci import register_plugin
from fibonacci.testing import StoreContract
from fibonacci.testing.store.machine import AnyHistory


class Hasty:
    """Settings for stores that answer at once."""

    timeout = 0.5
    short = grace = 0.01
    many = 1_100

    backend: str
    store: type
    is_async: bool

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        plugin = toy_plugin(MinimalStore(), cls.store) if cls.is_async else toy_plugin(cls.store())
        with register_plugin("storage", cls.backend, plugin):
            yield


def suite(name, contract, **settings):
    """The contract's class for one store."""
    store = {**BROKEN, **BROKEN_ASYNC, "MinimalStore": MinimalStore}[name]
    is_async = name in BROKEN_ASYNC
    voices = ["async"] if is_async else ["sync"]
    settings |= {"backend": name, "store": store, "is_async": is_async, "voices": voices}
    return type(f"Test{name}", (Hasty, contract), settings)


for _name in filter(None, os.environ.get("BROKEN_STORES", "").split(",")):
    # Without the histories: a defect has to be found by a test that says what it is.
    globals()[f"Test{_name}"] = suite(_name, StoreContract, test_any_history=None)

for _name in filter(None, os.environ.get("BROKEN_HISTORIES", "").split(",")):
    # As many as it takes: what is drawn depends on all constants of the sources.
    globals()[f"TestHistory{_name}"] = suite(_name, AnyHistory, examples=400)
