"""CipherContract on broken ciphers, a class each, and on the sound one that they derive from.

Of a broken cipher only the test that is about its defect is run, and has to fail.
"""

from contextlib import ExitStack

import pytest
from broken_ciphers import BROKEN, Sound
from ciphers import plugin

from fibonacci import register_plugin
from fibonacci.testing import CipherContract

SOUND = {"Sound": Sound}
DEFECTS = {name: (broken.test,) for name, broken in BROKEN.items()}
TESTS = [name for name in dir(CipherContract) if name.startswith("test_")]


def made(kind):
    return plugin(lambda settings: kind(settings.keys))


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Register all of them as plugins, each by its name."""
    with ExitStack() as plugins:
        for name, kind in {**BROKEN, **SOUND}.items():
            plugins.enter_context(register_plugin("encryption", name.lower(), made(kind)))
        yield


for _name, _kind in {**BROKEN, **SOUND}.items():
    _timeout = getattr(_kind, "fork_timeout", CipherContract.fork_timeout)
    _fields = {"cipher": _name.lower(), "fork_timeout": _timeout}
    if _name in BROKEN:
        _fields |= {test: None for test in TESTS if test != _kind.test}
    globals()[f"Test{_name}"] = type(f"Test{_name}", (CipherContract,), _fields)
