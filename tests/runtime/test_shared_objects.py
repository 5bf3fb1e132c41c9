"""Objects shared by key, and what happens to them in a forked child."""

import gc
import os

import pytest
from forks import in_child

from fibonacci.plugin.runtime import SharedObjects, keep_alive_in_child, on_fork


class Engine:
    """An object that is expensive to create."""

    def __init__(self):
        self.process = os.getpid()

    def reset_after_fork(self):
        self.process = os.getpid()


engines: SharedObjects[Engine] = SharedObjects()


def test_one_for_each_key():
    """Users of one key share an object, which is closed with the last of them."""
    first, again, other = (engines.get_or_create(key, Engine) for key in ("a", "a", "b"))
    assert first is again is not other
    del first, again
    gc.collect()
    assert list(engines._objects) == ["b"]
    assert engines.get_or_create("b", Engine) is other


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_resets_its_objects():
    """In a forked child each object is reset, and the parent's things are kept alive."""
    engine = engines.get_or_create("a", Engine)
    seen = []

    class Goodbye:
        def __del__(self):
            seen.append("goodbye")

    held = [Goodbye()]

    def reset():
        keep_alive_in_child(held.pop())
        seen.append("child")

    on_fork(
        before=lambda: seen.append("before") if held else None,
        after_in_parent=lambda: seen.append("parent") if held else None,
        after_in_child=lambda: reset() if held else None,
    )

    def look():
        gc.collect()
        return engine.process == os.getpid() and seen == ["before", "child"]

    in_child(look)
    assert engine.process == os.getpid()
    assert seen == ["before", "parent"]
    held.clear()
