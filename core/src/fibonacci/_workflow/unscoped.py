"""Which keys a graph writes without a scope: those are read where they are written.

Without a scope, a run with a user writes to that user, and one without to the workflow. A read that
went on from the user to the workflow would put what somebody wrote in a run without a user into the
prompt of the next user.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from fibonacci._memory.recall import Wanted
from fibonacci._workflow.step import Step
from fibonacci.plugin.templating import Template

_NOTHING: Final[Mapping[str, Mapping[str, str]]] = {"input": {}, "memory": {}}


@attrs.frozen
class UnscopedKeys:
    """The keys that some nodes write without a scope, as far as they are known before they run."""

    _literals: tuple[tuple[str, ...] | None, ...]
    """Of each such key; None where it can be any text."""

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "UnscopedKeys":
        """Look at the keys that these nodes write."""
        return cls(
            tuple(
                _literals(template)
                for step in steps
                for write, template in zip(step.node.memory_write, step.keys, strict=True)
                if write.scope is None
            )
        )

    def narrowed(self, wanted: Wanted) -> Wanted:
        """Return the same, looked for in one place alone if its key may be one of these."""
        if wanted.scope is not None or not any(_fits(wanted.key, one) for one in self._literals):
            return wanted
        return attrs.evolve(wanted, nearest=True)


def _literals(template: Template) -> tuple[str, ...] | None:
    if template.literals is None and not template.references:
        return (template.render(_NOTHING),)
    return template.literals


def _fits(key: str, literals: tuple[str, ...] | None) -> bool:
    """Say whether the key may be what a template with these literals renders."""
    if literals is None:
        return True
    first, *between = literals
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
