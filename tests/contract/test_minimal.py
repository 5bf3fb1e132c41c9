"""A store with only the seven primitives keeps the whole contract."""

import pytest
from minimal import MinimalAsyncStore, MinimalStore, toy_plugin
from modes import mostly

from fibonacci import register_plugin
from fibonacci.testing import StoreContract


class TestMinimal(StoreContract):
    backend = "minimal"
    modes = mostly("mixed")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        with register_plugin("storage", "minimal", toy_plugin(MinimalStore())):
            yield


class TestMinimalAsync(StoreContract):
    backend = "minimal-async"
    modes = mostly("async", "mixed")

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        toy = toy_plugin(MinimalStore(), MinimalAsyncStore)
        with register_plugin("storage", "minimal-async", toy):
            yield


class TestStoreInstance(StoreContract):
    backend = MinimalStore()
    modes = ("sync",)
