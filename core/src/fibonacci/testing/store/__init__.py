"""The contract of stores."""

from fibonacci.testing.store.addresses import AddressTests, SpaceTests
from fibonacci.testing.store.clocks import ClockTests
from fibonacci.testing.store.default_methods import DefaultMethodTests
from fibonacci.testing.store.errors import ErrorTests
from fibonacci.testing.store.expiry import ExpiredTests, ExpiryTests, TouchTests
from fibonacci.testing.store.hooks import HookTests
from fibonacci.testing.store.interruptions import InterruptTests, SignalTests
from fibonacci.testing.store.large import LargeTests
from fibonacci.testing.store.lifecycle import ForkTests, LifecycleTests
from fibonacci.testing.store.listing import ListingTests, PageTests
from fibonacci.testing.store.network_connections import ConnectionTests
from fibonacci.testing.store.network_deadlines import DeadlineTests
from fibonacci.testing.store.network_replies import LostReplyTests
from fibonacci.testing.store.network_secrets import NetworkSecrecyTests
from fibonacci.testing.store.secrecy import SecrecyTests
from fibonacci.testing.store.stateful import HistoryTests
from fibonacci.testing.store.updates import AtomicUpdateTests, BatchTests, CompareAndSetTests
from fibonacci.testing.store.values import CorruptRecordTests, ValueTests

__all__ = ["StoreContract"]


# pytest collects from the last base to the first: the first test that fails is the simplest one.
class StoreContract(
    NetworkSecrecyTests,
    ConnectionTests,
    DeadlineTests,
    LostReplyTests,
    HistoryTests,
    SignalTests,
    InterruptTests,
    ForkTests,
    LifecycleTests,
    SecrecyTests,
    HookTests,
    ErrorTests,
    DefaultMethodTests,
    AtomicUpdateTests,
    LargeTests,
    BatchTests,
    CompareAndSetTests,
    PageTests,
    ListingTests,
    ClockTests,
    TouchTests,
    ExpiryTests,
    ExpiredTests,
    SpaceTests,
    AddressTests,
    CorruptRecordTests,
    ValueTests,
):
    """The suite for storage backends: subclass it and set ``backend``."""
