"""What plugins rely on changes only on purpose."""

import difflib

from .signatures import SNAPSHOT, signatures

WHAT_TO_DO = """\
The hook specs, or what plugins import, have changed:
{difference}
Plugins that were released must work on. If a new abstract method, a field without a default, or a
changed signature breaks them, SPEC_VERSION has to grow. If none is broken, or it has grown, write
the snapshot again: python tests/documented/signatures.py
"""


def test_snapshot():
    """Hooks and signatures equal the snapshot."""
    before, now = SNAPSHOT.read_text(encoding="utf-8").splitlines(), signatures().splitlines()
    difference = "\n".join(difflib.unified_diff(before, now, "before", "now", lineterm="", n=1))
    assert not difference, WHAT_TO_DO.format(difference=difference)


def test_all_hooks_are_in_it():
    """The snapshot has each of the four hooks, and the primitives of a store."""
    text = SNAPSHOT.read_text(encoding="utf-8")
    for name in ("storage", "encryption", "templating", "model"):
        assert f"def fibonacci_{name}(" in text
    assert "@abstractmethod def compare_and_set(" in text
