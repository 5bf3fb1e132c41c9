"""Lists that have outgrown their record: the oldest items make room for the new ones."""

from typing import Any

from fibonacci._memory import codec
from fibonacci.errors import ValueTooLargeError
from fibonacci.plugin.address import Address


def without_oldest(
    items: list[Any], new: int, address: Address, fault: ValueTooLargeError
) -> list[Any]:
    """Return the list without as many of its oldest items as are in the way; at least one goes.

    The ``new`` last ones stay: where nothing is left before them, ValueTooLargeError.
    """
    old = items[:-new]
    if not old:
        raise ValueTooLargeError(
            f"{fault}. This is what is new alone: no older item is left to make room for it",
            size=fault.size,
            limit=fault.limit,
        ) from None
    return items[_in_the_way(old, address, fault) :]


def crowded(fault: ValueTooLargeError) -> ValueTooLargeError:
    """Return the error for a list none of whose items may go."""
    return ValueTooLargeError(
        f"{fault}. With max_items, append lets the oldest items make room for new ones",
        size=fault.size,
        limit=fault.limit,
    )


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
