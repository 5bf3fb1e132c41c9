"""What the ``memory`` backend knows of its records besides themselves: keys, and expiries."""

from heapq import heappush

from fibonacci.plugin.address import Address, Space


class Keys:
    """The keys of a space: those of all its records, and of some that are gone."""

    __slots__ = ("all", "ordered")

    def __init__(self) -> None:
        self.all: set[str] = set()
        self.ordered: list[str] = []

    def in_order(self) -> list[str]:
        """Return them sorted; the list is nobody's to change."""
        ordered = self.ordered
        if len(ordered) != len(self.all):  # keys only come, so as many are the same
            self.ordered = ordered = sorted(self.all)
        return ordered


class Catalog:
    """Keys by space, and a heap of expiries: of all records, and of some that are gone.

    Entries are written before their records are, so that a call which breaks off leaves one too
    many, never one too few. As those of records that are gone become many, another catalog is
    made, of the records that there are, and takes this one's place. It stands among the successors
    before it looks at the records: who writes meanwhile enters the record there as well.
    """

    __slots__ = ("due", "entered", "spaces", "successors")

    def __init__(self) -> None:
        self.spaces: dict[Space, Keys] = {}
        self.due: list[tuple[float, Address]] = []
        self.entered = 0
        """How many keys there are, but for a few where threads counted at once."""
        self.successors: list[Catalog] = []

    def enter(self, address: Address, expires: float | None) -> None:
        """Enter a record, here and in what comes after this catalog."""
        keys = self.spaces.get(address.space)
        if keys is None:
            keys = self.spaces.setdefault(address.space, Keys())
        if address.key not in keys.all:
            keys.all.add(address.key)
            self.entered += 1
        if expires is not None:
            heappush(self.due, (expires, address))
        for successor in self.successors:
            successor.enter(address, expires)
