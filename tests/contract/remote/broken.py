"""Stores over TCP with one defect each, most of them seen in first versions of drivers' users."""

import logging
import pickle
from contextlib import suppress
from time import monotonic
from typing import ClassVar

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import Page
from remote.connections import Awaiting, Blocking
from remote.server import DATABASE, pack
from remote.sound import RemoteStore

BROKEN = {}


def broken(test, mode="sync"):
    """Register a store; the test is the one that must catch it, in this mode."""

    def enter(store):
        store.test, store.mode = test, mode
        BROKEN[store.__name__] = store
        return store

    return enter


@broken("test_lost_reply_of_a_change")
class SendsAgain(RemoteStore):
    """The store itself repeats a compare-and-set whose reply was lost."""

    async def request(self, method, args, options, deadline):
        try:
            return await RemoteStore.request(self, method, args, options, deadline)
        except OutcomeUnknownError:
            return await RemoteStore.request(self, method, args, options, deadline)


@broken("test_lost_reply_of_a_change", "mixed")
class SendsAgainInSyncCode(SendsAgain):
    """The same, in sync code only."""

    broken_kind: ClassVar = Blocking

    async def request(self, method, args, options, deadline):
        if self.kind is self.broken_kind:
            return await super().request(method, args, options, deadline)
        return await RemoteStore.request(self, method, args, options, deadline)


@broken("test_lost_reply_of_a_change", "mixed")
class SendsAgainInAsyncCode(SendsAgainInSyncCode):
    """The same, in async code only."""

    broken_kind: ClassVar = Awaiting


@broken("test_lost_request_of_a_change")
class LostWriteIsDone(RemoteStore):
    """A change without a reply is reported as applied."""

    def fail(self, cause, method, args, *, sent):
        results = {"remove": True, "compare_and_set": True, "write": None, "write_many": None}
        if sent and method in results:
            return results[method]
        return super().fail(cause, method, args, sent=sent)


@broken("test_lost_reply_of_an_increment")
class AllIsUnapplied(RemoteStore):
    """Each failure is reported as surely not applied."""

    def fail(self, cause, method, args, *, sent):
        return super().fail(cause, method, args, sent=False)


@broken("test_lost_reply_of_a_set")
class LostWriteIsFinal(RemoteStore):
    """A failure is an error that a retry does not mend."""

    def fail(self, cause, method, args, *, sent):
        raise StorageError(f"{method} failed ({cause})")


@broken("test_lost_reply_of_a_read")
class LostReadIsAbsent(RemoteStore):
    """A read without a reply is reported as absent."""

    def fail(self, cause, method, args, *, sent):
        if method == "read":
            return None
        return super().fail(cause, method, args, sent=sent)


@broken("test_lost_reply_of_a_get")
class AllIsUnknown(RemoteStore):
    """Each failure is of unknown outcome, a read's too."""

    def fail(self, cause, method, args, *, sent):
        raise OutcomeUnknownError(f"{method} may have been applied ({cause})")


@broken("test_half_a_reply")
class HalfAListing(RemoteStore):
    """A listing that breaks off is reported as its end."""

    def fail(self, cause, method, args, *, sent):
        if method == "scan" and cause == "ConnectionError":
            return Page([], None)
        return super().fail(cause, method, args, sent=sent)


@broken("test_batch_that_breaks_off")
class HalfABatchIsDone(RemoteStore):
    """A batch of which only the first request was answered is reported as written."""

    async def write_many(self, items, ttl_ms, *, deadline):
        half = len(items) // 2
        await super().write_many(items[:half], ttl_ms, deadline=deadline)
        with suppress(BackendUnavailableError, OutcomeUnknownError):
            await super().write_many(items[half:], ttl_ms, deadline=deadline)


@broken("test_batch_that_breaks_off", "async")
class HalfABatchIsUnapplied(RemoteStore):
    """A batch of which only the first request was answered is reported as surely not applied."""

    async def write_many(self, items, ttl_ms, *, deadline):
        half = len(items) // 2
        await super().write_many(items[:half], ttl_ms, deadline=deadline)
        try:
            await super().write_many(items[half:], ttl_ms, deadline=deadline)
        except OutcomeUnknownError:
            raise BackendUnavailableError(f"{self.server} is unavailable") from None


@broken("test_silent_server")
class LateDeadline(RemoteStore):
    """A request has a time of its own instead of its deadline."""

    async def request(self, method, args, options, deadline):
        return await super().request(method, args, options, monotonic() + 2)


@broken("test_changes_in_flight")
class LateIsUnapplied(RemoteStore):
    """A change whose deadline passed after it was sent is reported as surely not applied."""

    def fail(self, cause, method, args, *, sent):
        return super().fail(cause, method, args, sent=sent and cause != "TimeoutError")


@broken("test_silent_server_at_first")
class LateLogin(RemoteStore):
    """The deadline does not count while a connection is made."""

    async def log_in(self, connection, deadline):
        await super().log_in(connection, monotonic() + 2)


@broken("test_trickling_replies", "async")
class TimeoutPerReceive(RemoteStore):
    """Each piece of a reply has the time of a whole request."""

    async def exchange(self, connection, message, deadline):
        seconds, late = deadline - monotonic(), deadline + 2
        await connection.send(pack(message), deadline)
        reply = b""
        while len(reply) < 4 or len(reply) < 4 + int.from_bytes(reply[:4]):
            piece = await connection.receive(4_096, min(monotonic() + seconds, late))
            if not piece:
                raise ConnectionError("the server closed the connection")
            reply += piece
        return pickle.loads(reply[4:])


@broken("test_connection_is_never_made", "async")
class UnmadeIsUnknown(RemoteStore):
    """A connection that was not made in time leaves an unknown outcome."""

    def fail(self, cause, method, args, *, sent):
        return super().fail(cause, method, args, sent=sent or cause == "TimeoutError")


@broken("test_refused_connection")
class RefusedLeaks(RemoteStore):
    """A refused connection raises the driver's error."""

    def fail(self, cause, method, args, *, sent):
        if cause == "ConnectionRefusedError":
            raise ConnectionRefusedError
        return super().fail(cause, method, args, sent=sent)


@broken("test_event_loop_goes_on", "async")
class BlocksTheLoop(RemoteStore):
    """The async store blocks."""

    def __init__(self, url, kind):
        super().__init__(url, Blocking)


@broken("test_idle_connections_were_closed")
class UsesDeadConnections(RemoteStore):
    """Connections of the pool are used as they are."""

    async def connected(self, deadline):
        return self.idle.pop() if self.idle else await super().connected(deadline)


@broken("test_delete_after_idle_connections_were_closed", "async")
class UsesDeadConnectionsAsync(UsesDeadConnections):
    """The same, in async code."""


@broken("test_forgotten_connections")
class KeepsSilentConnections(RemoteStore):
    """A connection that timed out goes back to the pool."""

    def discard(self, connection):
        self.idle.append(connection)


@broken("test_restart_of_the_server")
class RefusedIsFinal(RemoteStore):
    """A refused connection is an error that a retry does not mend."""

    def fail(self, cause, method, args, *, sent):
        if cause == "ConnectionRefusedError":
            raise StorageError(f"{self.server} refuses connections")
        return super().fail(cause, method, args, sent=sent)


@broken("test_missing_database")
class MissingDatabaseIsUnavailable(RemoteStore):
    """A database that is not there is reported as a server that is not."""

    async def log_in(self, connection, deadline):
        await super().log_in(connection, deadline)
        if self.database != DATABASE:
            raise BackendUnavailableError("the server is not ready")


@broken("test_increments_while_connections_break")
class SendsUpdatesAgain(SendsAgain):
    """The same as above, seen by its effect."""


@broken("test_close_ends_connections")
class ClosesNothing(RemoteStore):
    """close() does nothing."""

    leaked: ClassVar = []

    async def close(self):
        self.leaked.extend(self.idle)


@broken("test_close_ends_connections")
class LeaksFailures(RemoteStore):
    """The connection of a request that failed is left open."""

    leaked: ClassVar = []

    def discard(self, connection):
        self.leaked.append(connection)


@broken("test_close_ends_connections", "async")
class LeaksCancelled(RemoteStore):
    """The connection of a request that was cancelled is left open."""

    leaked: ClassVar = []

    def abandon(self, connection):
        self.leaked.append(connection)


@broken("test_ended_loops_leave_no_connection", "async")
class ClosesNothingOfALoop(ClosesNothing):
    """The same, in async code."""


@broken("test_wrong_password")
class WrongPasswordIsUnavailable(RemoteStore):
    """A wrong password is reported as a server that is not there."""

    async def log_in(self, connection, deadline):
        try:
            await super().log_in(connection, deadline)
        except StorageError as error:
            raise BackendUnavailableError("the server is not ready") from error


@broken("test_wrong_password")
class QuotesThePassword(RemoteStore):
    """The error of a wrong password shows it."""

    async def log_in(self, connection, deadline):
        if not await self.exchange(connection, self.login.password, deadline):
            raise StorageError(f"{self.server} refused {self.login.password}")


@broken("test_faults_show_no_password")
class LogsThePassword(RemoteStore):
    """Connections are logged with all their settings."""

    async def log_in(self, connection, deadline):
        logging.getLogger("remote").debug("logging in: %s", self.login)
        await super().log_in(connection, deadline)


@broken("test_faults_show_no_value")
class QuotesTheRequest(RemoteStore):
    """The error of a request shows its arguments."""

    def fail(self, cause, method, args, *, sent):
        return super().fail(f"{cause} in {method}{args}", method, args, sent=sent)
