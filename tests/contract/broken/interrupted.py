"""Stores that treat a signal handler's exception as an error of a server."""

import time
from contextlib import suppress

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError


class Distant(MinimalStore):
    """A change is applied, and its reply takes a while."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        result = super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        time.sleep(0.0005)
        return result


@broken("test_exceptions_of_signal_handlers")
class RetriesInterrupted(Distant):
    """A change that a handler interrupted is reported as surely not applied, and so retried."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        try:
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        except Exception as error:
            raise BackendUnavailableError("the connection broke") from error


@broken("test_exceptions_of_signal_handlers")
class RenamesSignals(Distant):
    """A change that a handler interrupted is reported as one whose reply was lost."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        try:
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        except OSError as error:
            raise OutcomeUnknownError("the connection broke") from error


@broken("test_exceptions_of_signal_handlers")
class SwallowsSignals(MinimalStore):
    """A read that a handler interrupted is repeated, and the exception is lost."""

    def read(self, address, *, deadline):
        with suppress(BaseException):
            time.sleep(0.0005)
        return super().read(address, deadline=deadline)
