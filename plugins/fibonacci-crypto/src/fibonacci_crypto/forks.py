"""What a forked child may not share with its parent."""

from typing import Protocol
from weakref import WeakSet

from fibonacci.plugin.runtime import on_fork


class Renewable(Protocol):
    """Holds a lock, or a session."""

    def renew(self) -> None:
        """Replace it."""
        ...


_renewables: "WeakSet[Renewable]" = WeakSet()


def renew_in_children(renewable: Renewable) -> None:
    """Have it renewed in each child that is forked, before anything else runs there."""
    _renewables.add(renewable)


def _renew() -> None:
    for renewable in list(_renewables):
        renewable.renew()


on_fork(after_in_child=_renew)
