"""Silence about our calls: botocore logs requests and answers, values and session tokens in them.

Only records of the calls that this plugin makes are dropped, and only those of the loggers that
quote; what an application does with a client of its own is logged as it was.
"""

import logging
from typing import Final

from fibonacci_dynamodb.transport import current

LOGGERS: Final = (
    "botocore.auth",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.parsers",
    "botocore.regions",
    "botocore.retryhandler",
)


def not_ours(record: logging.LogRecord) -> bool:
    """Say whether to let a record pass."""
    return current.get(None) is None


def keep_quiet() -> None:
    """Filter those loggers; again and again is the same as once."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(not_ours)
