"""Lists that have outgrown their record: the oldest items make room for the new ones."""

from typing import Any

from fibonacci._memory import codec
from fibonacci.errors import ValueTooLargeError
from fibonacci.plugin.address import Address


def shortened(
    items: list[Any], new: int, most: int | None, address: Address, fault: ValueTooLargeError
) -> list[Any]:
    """Return the list without as many of its oldest items as are in the way; at least one goes.

    The ``new`` last ones stay, if ``most`` lets them. Raises ValueTooLargeError where nothing is
    left before them, and where there is no ``most``: then nothing may go.
    """
    old = items[: -(new if most is None else min(new, most))]
    if not old:
        more = "This is what is new alone: no older item is left to make room for it"
        raise _told(fault, more) from None
    if most is None:
        more = "With max_items, append lets the oldest items make room for new ones"
        raise _told(fault, more) from None
    return items[_in_the_way(old, address, fault) :]


def _told(fault: ValueTooLargeError, more: str) -> ValueTooLargeError:
    return ValueTooLargeError(f"{fault}. {more}", size=fault.size, limit=fault.limit)


def _in_the_way(old: list[Any], address: Address, fault: ValueTooLargeError) -> int:
    """How many have to go, the oldest first.

    Only these are written out to be measured: a list may have 16 MiB.
    """
    if fault.size is None or fault.limit is None:
        return -(-len(old) // 2)
    excess = fault.size - fault.limit
    for count, item in enumerate(old, 1):
        excess -= len(codec.encode(item, address)) + 1  # and its comma
        if excess <= 0:
            return count
    return len(old)
