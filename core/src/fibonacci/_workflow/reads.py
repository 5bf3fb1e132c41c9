"""What a node reads, in the graph that it stands in."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from fibonacci._memory.addresses import validate_name
from fibonacci._memory.reads import ReadSpec
from fibonacci._workflow.unscoped import UnscopedKeys
from fibonacci.errors import InvalidKeyError
from fibonacci.plugin.templating import Template


@attrs.frozen
class Reads:
    """What one node reads."""

    wanted: tuple[ReadSpec, ...]
    """In its order; whose key is a template has its source there."""
    templates: Mapping[int, Template]
    """The keys that have to be rendered, by their place."""
    _unscoped: UnscopedKeys

    @classmethod
    def of(
        cls, wanted: Sequence[ReadSpec], templates: Mapping[int, Template], unscoped: UnscopedKeys
    ) -> "Reads":
        """Look at what a node wants, where the graph writes these keys without a scope."""
        ready = (
            one if place in templates else unscoped.narrowed(one)
            for place, one in enumerate(wanted)
        )
        return cls(tuple(ready), templates, unscoped)

    def rendered(self, namespace: Mapping[str, Any]) -> Sequence[ReadSpec]:
        """Return the same for one run. Raises TemplateError or InvalidKeyError."""
        wanted = list(self.wanted)
        for place, template in self.templates.items():
            one = wanted[place]
            key = validate_name(
                template.render(namespace), f"memory_read: the key of {one.name!r}", InvalidKeyError
            )
            wanted[place] = self._unscoped.narrowed(attrs.evolve(one, key=key))
        return wanted
