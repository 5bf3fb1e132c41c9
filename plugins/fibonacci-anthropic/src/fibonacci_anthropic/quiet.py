"""Silence about our calls: the SDK logs each request whole at DEBUG, with the prompt in it.

Only records of the calls that this plugin makes are dropped, and only those of the logger that
quotes; what an application does with a client of its own is logged as it was.
"""

import logging
from typing import Final

from fibonacci_anthropic.call import is_ours

LOGGER: Final = "anthropic._base_client"


def not_ours(record: logging.LogRecord) -> bool:
    """Say whether to let a record pass."""
    return not is_ours()


def keep_quiet() -> None:
    """Filter that logger; again and again is the same as once."""
    logging.getLogger(LOGGER).addFilter(not_ours)
