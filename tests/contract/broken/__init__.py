"""Stores with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``tests`` are those that have to find it.
"""

from broken import (
    addresses,
    atomicity,
    batches,
    conditions,
    errors,
    expiry,
    hanging,
    hooks,
    interrupted,
    lifecycle,
    listings,
    native,
)
from broken.entry import BROKEN, BROKEN_ASYNC

__all__ = [
    "BROKEN",
    "BROKEN_ASYNC",
    "addresses",
    "atomicity",
    "batches",
    "conditions",
    "errors",
    "expiry",
    "hanging",
    "hooks",
    "interrupted",
    "lifecycle",
    "listings",
    "native",
]
