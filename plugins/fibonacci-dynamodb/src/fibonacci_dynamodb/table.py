"""The table: requests to it, in batches too; the first call creates it if it is missing."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import run_sync
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, ThreadWaiter, backoff
from fibonacci_dynamodb import faults, schema
from fibonacci_dynamodb.client import Client
from fibonacci_dynamodb.schema import Item
from fibonacci_dynamodb.settings import Settings

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
MAX_BATCH_GET: Final = 100
MAX_BATCH_WRITE: Final = 25

MAX_BATCH_BACKOFF: Final = 0.5
"""Seconds before unprocessed items of a batch are sent again, at most."""

MAX_POLL_INTERVAL: Final = 0.25
"""Seconds between two requests for the status of a table that is being created, at most."""

_log: Final = logging.getLogger("fibonacci.dynamodb")

T = TypeVar("T")


class Table:
    """One table. With ``create``, the first call that finds it missing creates it."""

    def __init__(self, settings: Settings) -> None:
        self.name: Final = settings.table
        self.label: Final = settings.label
        self._create = settings.create
        self._client = Client(settings)
        self._creating = SingleFlight[None](ThreadWaiter)
        self._is_ttl_checked = not settings.create
        """Whether this process has no more to do for TimeToLive; it may still be disabled."""

    def execute(
        self, operation: str, request: dict[str, Any], *, changes: bool = False, deadline: float
    ) -> dict[str, Any]:
        """Send a request, and return its response; ``changes``: whether it may alter a record.

        Raises ClientError if the request's condition is not met, and StorageError for all others.
        If the table is missing, the request surely had no effect: it is sent again once the table
        is created.
        """
        try:
            return self._client.execute(operation, request, changes=changes, deadline=deadline)
        except ClientError as error:
            if faults.code_of(error) != faults.RESOURCE_NOT_FOUND:
                raise
            not_found = faults.map_client_error(error, self.label, changes=False)
        if not self._create:
            raise not_found
        self._create_once(deadline)
        try:
            return self._client.execute(operation, request, changes=changes, deadline=deadline)
        except ClientError as error:
            if faults.code_of(error) != faults.RESOURCE_NOT_FOUND:
                raise
        raise self._not_ready_error("not found yet")

    def batch_get(self, keys: Sequence[Item], deadline: float) -> Iterator[Item]:
        """Yield the items that exist, in no order; ``keys`` must be distinct."""
        for chunk in _chunks(keys, MAX_BATCH_GET):
            attempt, unprocessed = 0, {self.name: {"Keys": chunk, "ConsistentRead": True}}
            while unprocessed:
                request = {"RequestItems": unprocessed}
                response = self.execute("batch_get_item", request, deadline=deadline)
                yield from response.get("Responses", {}).get(self.name, ())
                unprocessed = response.get("UnprocessedKeys", {})
                if unprocessed:
                    attempt += 1
                    left = unprocessed.get(self.name, {}).get("Keys", ())
                    self._back_off(attempt, len(left), deadline)

    def batch_write(self, requests: Sequence[dict[str, Any]], deadline: float) -> None:
        """Put and delete items; no two of the requests may be about one item.

        Raises OutcomeUnknownError if some may have been applied, BackendUnavailableError if surely
        none was.
        """
        done = 0
        try:
            for chunk in _chunks(requests, MAX_BATCH_WRITE):
                attempt, unprocessed = 0, chunk
                while unprocessed:
                    sent = len(unprocessed)
                    unprocessed = self._write_chunk(unprocessed, deadline)
                    done += sent - len(unprocessed)
                    if unprocessed:
                        attempt += 1
                        self._back_off(attempt, len(unprocessed), deadline)
        except BackendUnavailableError as error:
            if not done:
                raise
            raise OutcomeUnknownError(
                f"{done} of {len(requests)} records were processed, then: {error}"
            ) from None

    def ensure_ttl_enabled(self, deadline: float) -> None:
        """Have DynamoDB delete expired records, if it does not yet.

        The requests are sent once in a process. The process that created the table may have ended
        before it enabled that. Expired records are hidden anyway, so no write fails with this, and
        a role may lack the permission.
        """
        if self._is_ttl_checked:
            return
        request = {"TableName": self.name}
        try:
            response = self.execute("describe_time_to_live", request, deadline=deadline)
            if response["TimeToLiveDescription"].get("TimeToLiveStatus") == "DISABLED":
                self._enable_ttl(deadline)
        except (BackendUnavailableError, ClientError):
            return  # the next write with a ttl tries again
        except StorageError as error:
            _log.info("TimeToLive of %s was not enabled: %s", self.label, error)
        self._is_ttl_checked = True

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()

    def _enable_ttl(self, deadline: float) -> None:
        request = schema.update_ttl_request(self.name)
        try:
            self.execute("update_time_to_live", request, deadline=deadline)
        except BackendUnavailableError:
            raise
        except StorageError:
            # Without the error: for "TimeToLive is already enabled" it would advise another table.
            _log.info(
                "TimeToLive of %s was not enabled by this process: not permitted, or another "
                "process did it",
                self.label,
            )
        else:
            _log.info("DynamoDB deletes expired records of %s from now on", self.label)

    def _write_chunk(self, requests: list[dict[str, Any]], deadline: float) -> list[dict[str, Any]]:
        """Send one batch, and return the requests that DynamoDB did not process."""
        request = {"RequestItems": {self.name: requests}}
        response = self.execute("batch_write_item", request, changes=True, deadline=deadline)
        unprocessed: list[dict[str, Any]] = response.get("UnprocessedItems", {}).get(self.name, [])
        return unprocessed

    def _back_off(self, attempt: int, count: int, deadline: float) -> None:
        """Wait before a retry, longer each time: unprocessed items exceeded the capacity.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
        """
        seconds = backoff(attempt, base=0.025, cap=MAX_BATCH_BACKOFF)
        if time.monotonic() + seconds >= deadline:
            raise BackendUnavailableError(
                f"DynamoDB left items of a batch unprocessed until the deadline: the capacity of "
                f"{self.label} is exceeded"
            )
        _log.log(
            logging.INFO if attempt == 1 else logging.DEBUG,
            "%d items of a batch for %s were not processed, attempt %d follows in %.3f s",
            count,
            self.label,
            attempt + 1,
            seconds,
        )
        time.sleep(seconds)

    def _create_once(self, deadline: float) -> None:
        """Create the table, once for all threads that find it missing."""
        try:
            run_sync(self._creating.do(partial(self._create_and_wait, deadline), deadline=deadline))
        except DeadlineExceeded:
            raise self._not_ready_error("not ready yet") from None

    async def _create_and_wait(self, deadline: float) -> None:
        """Create the table, unless another process did, and wait until it can be used."""
        attempt, status = 0, ""
        while status != "ACTIVE":
            if not status:
                self._send_create(deadline)
            status = self._describe_status(deadline)
            if status != "ACTIVE":
                attempt += 1
                self._wait_for_status(attempt, status, deadline)

    def _send_create(self, deadline: float) -> None:
        request = schema.create_table_request(self.name)
        with suppress(ClientError):  # in use: another process was faster, or it is being deleted
            self._client.execute("create_table", request, changes=False, deadline=deadline)
            _log.info("created %s", self.label)

    def _describe_status(self, deadline: float) -> str:
        """Return CREATING, ACTIVE, DELETING and so on; an empty string if there is no table."""
        request = {"TableName": self.name}
        try:
            response = self._client.execute(
                "describe_table", request, changes=False, deadline=deadline
            )
        except ClientError:  # not found: DynamoDB itself may learn of a new table a moment later
            return ""
        return str(response["Table"]["TableStatus"])

    def _wait_for_status(self, attempt: int, status: str, deadline: float) -> None:
        seconds = backoff(attempt, base=0.02, cap=MAX_POLL_INTERVAL)
        remaining = deadline - time.monotonic()
        # Until the deadline: a retry before it could only report a timeout.
        time.sleep(max(0.0, min(seconds, remaining)))
        if seconds >= remaining:
            raise self._not_ready_error(status or "not found yet")

    def _not_ready_error(self, status: str) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"{self.label} is being created, and was {status} at the deadline. DynamoDB takes some "
            f"seconds for it: try again, or create the table beforehand "
            f"(`python -m fibonacci_dynamodb` prints its definition)"
        )


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
