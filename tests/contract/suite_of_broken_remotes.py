"""The network tests on broken stores over TCP, a class each, and on the sound one.

Of a broken store only the test that must catch it is run.
"""

import pytest
from remote.broken import BROKEN
from remote.server import Server
from remote.sound import RemoteStore, remote_plugin

from fibonacci import register_plugin
from fibonacci.testing.store.network_connections import ConnectionTests
from fibonacci.testing.store.network_deadlines import DeadlineTests
from fibonacci.testing.store.network_replies import LostReplyTests
from fibonacci.testing.store.network_secrets import NetworkSecrecyTests


class NetworkContract(LostReplyTests, DeadlineTests, ConnectionTests, NetworkSecrecyTests):
    """The part of StoreContract that needs a server."""

    store: type

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls):
        plugin = remote_plugin(cls.store)
        with Server() as server, register_plugin("storage", str(cls.backend), plugin):
            yield server

    @pytest.fixture
    def url(self, server):
        return server.url


TESTS = [name for name in dir(NetworkContract) if name.startswith("test_")]


def suite(store, *modes, **settings):
    """Return the contract's class for one store."""
    settings |= {"backend": store.__name__.lower(), "store": store, "modes": modes}
    return type(f"Test{store.__name__}", (NetworkContract,), settings)


for _store in BROKEN.values():
    _left_out = dict.fromkeys(test for test in TESTS if test != _store.test)
    globals()[f"Test{_store.__name__}"] = suite(_store, _store.mode, **_left_out)

SOUND = ["RemoteStore"]
DEFECTS = {name: [store.test] for name, store in BROKEN.items()}
TestRemoteStore = suite(RemoteStore, "sync", "async", "mixed")
