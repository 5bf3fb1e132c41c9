"""Filters for what drivers log about our calls."""

import logging
from collections.abc import Callable, Iterable


def drop_log_records(loggers: Iterable[str], is_ours: Callable[[logging.LogRecord], bool]) -> None:
    """Drop the records of these loggers for which ``is_ours`` is true.

    For drivers that log whole requests, which hold values or prompts. A logger's filter gets its
    own records only, not those of its children: name each logger. Calling it again with an equal
    function has no effect.
    """
    for name in loggers:
        logging.getLogger(name).addFilter(_DropFilter(is_ours))


class _DropFilter(logging.Filter):
    def __init__(self, is_ours: Callable[[logging.LogRecord], bool]) -> None:
        super().__init__()
        self._is_ours = is_ours

    def filter(self, record: logging.LogRecord) -> bool:
        return not self._is_ours(record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _DropFilter) and other._is_ours == self._is_ours

    def __hash__(self) -> int:
        return hash(self._is_ours)
