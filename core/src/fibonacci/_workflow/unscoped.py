"""Which keys a graph writes without a scope: those are read where they are written.

Without a scope, a run with a user writes to that user, and one without to the workflow. A read that
went on from the user to the workflow would put what somebody wrote in a run without a user into the
prompt of the next user.
"""

from collections.abc import Iterable

import attrs

from fibonacci._memory.reads import ReadSpec
from fibonacci._workflow.memory_use import RecordWrite
from fibonacci._workflow.texts import literals
from fibonacci.plugin.templating import Template


@attrs.frozen
class UnscopedKeys:
    """The keys that some nodes write without a scope, as far as they are known before they run."""

    _literals: tuple[tuple[str, ...] | None, ...]
    """Of each such key; None where it can be any text."""

    @classmethod
    def of(cls, written: Iterable[tuple[RecordWrite, Template]]) -> "UnscopedKeys":
        """Look at all that the nodes of a graph write, with the template of each key."""
        return cls(tuple(literals(template) for write, template in written if write.scope is None))

    def narrowed(self, wanted: ReadSpec) -> ReadSpec:
        """Return the same, looked for in one place alone if its key may be one of these."""
        if wanted.scope is not None or not any(_fits(wanted.key, one) for one in self._literals):
            return wanted
        return attrs.evolve(wanted, nearest=True)


def _fits(key: str, known: tuple[str, ...] | None) -> bool:
    """Say whether the key may be what a template with these literals renders."""
    if known is None:
        return True
    first, *between = known
    if not between:
        return key == first
    last = between.pop()
    at, end = len(first), len(key) - len(last)
    if at > end or not (key.startswith(first) and key.endswith(last)):
        return False
    for part in between:
        found = key.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
