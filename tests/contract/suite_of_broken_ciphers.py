"""The suite on broken ciphers, a class each; and on the sound one that they are made of."""

from contextlib import ExitStack

import pytest
from broken_ciphers import BROKEN, Sound
from ciphers import plugin

from fibonacci import register_plugin
from fibonacci.testing import CipherContract

SOUND = {"Sound": Sound}


def made(kind):
    return plugin(lambda settings: kind(settings.keys))


@pytest.fixture(scope="session", autouse=True)
def registered():
    """All of them are plugins, each by its own name."""
    with ExitStack() as plugins:
        for name, kind in {**BROKEN, **SOUND}.items():
            plugins.enter_context(register_plugin("encryption", name.lower(), made(kind)))
        yield


for _name, _kind in {**BROKEN, **SOUND}.items():
    _patience = getattr(_kind, "patience", CipherContract.patience)
    _fields = {"cipher": _name.lower(), "patience": _patience}
    _class = type(f"Test{_name}", (CipherContract,), _fields)
    globals()[_class.__name__] = _class
