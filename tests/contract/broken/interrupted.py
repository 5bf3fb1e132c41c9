"""Stores that take what a signal handler raises for a fault of a server."""

import time
from contextlib import suppress

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError


class Distant(MinimalStore):
    """A change is made, and its answer takes a while."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        answer = super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        time.sleep(0.0005)
        return answer


@broken("C19")
class AsksAgain(Distant):
    """A change amid which a handler raised is told as surely not made, and so made again."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        try:
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        except Exception as error:
            raise BackendUnavailableError("the connection broke") from error


@broken("C19")
class RenamesSignals(Distant):
    """A change amid which a handler raised is told as one whose answer was lost."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        try:
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        except OSError as error:
            raise OutcomeUnknownError("the connection broke") from error


@broken("C19")
class SwallowsSignals(MinimalStore):
    """A read that a handler broke off is done anew, and the exception is gone."""

    def read(self, address, *, deadline):
        with suppress(BaseException):
            time.sleep(0.0005)
        return super().read(address, deadline=deadline)
