"""Stores with one defect each, most of them seen in released software.

Each docstring says what is wrong.
"""

from broken import (
    addresses,
    atomicity,
    batches,
    conditions,
    errors,
    expiry,
    hanging,
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
    "interrupted",
    "lifecycle",
    "listings",
    "native",
]
