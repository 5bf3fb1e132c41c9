"""The loggers of this package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def get_logger(name: str) -> "logging.Logger":
    """Return the logger ``fibonacci.<name>``.

    Messages hold no value, no key of a record, no id of a user, and no password (C23).
    """
    import logging  # at the first event: it takes 4 ms

    return logging.getLogger(f"fibonacci.{name}")
