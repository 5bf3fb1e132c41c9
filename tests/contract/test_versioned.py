"""Stores built on conditional writes keep the whole contract, in sync and async code."""

import pytest
from minimal import toy_plugin
from modes import mostly
from versions import AsyncVersionStore, VersionStore

from fibonacci import register_plugin
from fibonacci.testing import StoreContract


class TestVersioned(StoreContract):
    backend = "versioned"
    modes = mostly("mixed")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        with register_plugin("storage", "versioned", toy_plugin(VersionStore())):
            yield


class TestAsyncVersioned(StoreContract):
    backend = "versioned-async"
    modes = ("async",)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        toy = toy_plugin(VersionStore(), AsyncVersionStore)
        with register_plugin("storage", "versioned-async", toy):
            yield
