"""The contract of stores, clause by clause."""

from fibonacci.testing.store.addresses import Addresses
from fibonacci.testing.store.atomic import Atomic
from fibonacci.testing.store.batch import Batches
from fibonacci.testing.store.expired import Expired
from fibonacci.testing.store.expiry import Lifetimes, Touch
from fibonacci.testing.store.faults import Faults
from fibonacci.testing.store.fork import Fork
from fibonacci.testing.store.interrupted import Interrupted
from fibonacci.testing.store.life import Life
from fibonacci.testing.store.listing import Listing, Pages
from fibonacci.testing.store.machine import AnyHistory
from fibonacci.testing.store.oracle import Oracle
from fibonacci.testing.store.signals import Signals
from fibonacci.testing.store.spaces import Spaces
from fibonacci.testing.store.swap import Swap
from fibonacci.testing.store.values import Values

__all__ = ["StoreContract"]


class StoreContract(
    Addresses,
    Spaces,
    Values,
    Faults,
    Expired,
    Lifetimes,
    Touch,
    Listing,
    Pages,
    Atomic,
    Swap,
    Batches,
    Life,
    Fork,
    Interrupted,
    Signals,
    Oracle,
    AnyHistory,
):
    """All that a storage backend has to keep; subclass it and say which ``backend``."""
