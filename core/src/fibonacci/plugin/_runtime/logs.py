"""Keeping what a driver logs about our calls out of an application's logs."""

import logging
from collections.abc import Callable, Iterable


def drop_log_records(loggers: Iterable[str], is_ours: Callable[[logging.LogRecord], bool]) -> None:
    """Drop the records of these loggers for which ``is_ours`` is true.

    For drivers that log requests whole, with a value or a prompt in them. A filter of a logger
    sees its own records only, not those of its children: name each. Doing it again with the same
    function, or an equal one, is the same as once.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_Dropped(is_ours))


class _Dropped(logging.Filter):
    def __init__(self, is_ours: Callable[[logging.LogRecord], bool]) -> None:
        super().__init__()
        self._is_ours = is_ours

    def filter(self, record: logging.LogRecord) -> bool:
        return not self._is_ours(record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Dropped) and other._is_ours == self._is_ours

    def __hash__(self) -> int:
        return hash(self._is_ours)
