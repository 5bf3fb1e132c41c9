"""The table: asked as if it were there, and made, once, whoever comes first, where it is not."""

import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin import run_sync
from fibonacci.plugin.runtime import DeadlineExceeded, SingleFlight, ThreadWaiter, backoff
from fibonacci_dynamodb import definition, faults
from fibonacci_dynamodb.client import Client
from fibonacci_dynamodb.settings import Settings

LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at a table that is being made."""


class Table:
    """One table, which its first caller makes."""

    def __init__(self, settings: Settings) -> None:
        self.name: Final = settings.table
        self.where: Final = settings.where
        self._create = settings.create
        self._client = Client(settings)
        self._making = SingleFlight[None](ThreadWaiter)
        self._sweeps = not settings.create
        """Whether DynamoDB drops expired records by now, or it is not for us to see to that."""

    def ask(
        self, operation: str, request: dict[str, Any], *, changes: bool = False, deadline: float
    ) -> dict[str, Any]:
        """Ask the service, and return its answer; ``changes`` says whether it may alter a record.

        Raises ClientError for a condition that is not met, and a StorageError for all else.
        A table that is missing has surely not done what it was asked: it is made, and asked again.
        """
        try:
            return self._client.ask(operation, request, changes=changes, deadline=deadline)
        except ClientError as fault:
            if faults.code_of(fault) != faults.MISSING:
                raise
            told = faults.refused(fault, self.where, changes=False)
        if not self._create:
            raise told
        self._make(deadline)
        try:
            return self._client.ask(operation, request, changes=changes, deadline=deadline)
        except ClientError as fault:
            if faults.code_of(fault) != faults.MISSING:
                raise
        raise self._unready("not to be found yet")

    def see_to_sweep(self, deadline: float) -> None:
        """Have DynamoDB drop expired records, if it does not yet; asked once in a process.

        Whoever made the table may have died before this. It is housekeeping, as expired records
        are hidden anyway: no write fails by it, and a role may lack the right to it.
        """
        if self._sweeps:
            return
        try:
            found = self.ask("describe_time_to_live", {"TableName": self.name}, deadline=deadline)
            if found["TimeToLiveDescription"].get("TimeToLiveStatus") == "DISABLED":
                self.ask("update_time_to_live", definition.sweep(self.name), deadline=deadline)
        except (BackendUnavailableError, ClientError):
            return  # the next write that expires tries again
        except StorageError:
            pass  # refused: not our table to change, or another process just did it
        self._sweeps = True

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _make(self, deadline: float) -> None:
        """Have the table made, once for all threads that find it missing."""
        try:
            run_sync(self._making.do(partial(self._made, deadline), deadline=deadline))
        except DeadlineExceeded:
            raise self._unready("not ready yet") from None

    async def _made(self, deadline: float) -> None:
        """Make the table, unless somebody does or did, and wait until it can be used."""
        attempt, status = 0, ""
        while status != "ACTIVE":
            if not status:
                self._begin(deadline)
            status = self._status(deadline)
            if status != "ACTIVE":
                attempt += 1
                self._pause(attempt, status, deadline)

    def _begin(self, deadline: float) -> None:
        request = definition.creation(self.name)
        with suppress(ClientError):  # in use: another process was faster, or it is being deleted
            self._client.ask("create_table", request, changes=False, deadline=deadline)

    def _status(self, deadline: float) -> str:
        """Return CREATING, ACTIVE, DELETING and so on; nothing where there is no table."""
        request = {"TableName": self.name}
        try:
            found = self._client.ask("describe_table", request, changes=False, deadline=deadline)
        except ClientError:  # not found: DynamoDB itself may learn of a new table a moment later
            return ""
        return str(found["Table"]["TableStatus"])

    def _pause(self, attempt: int, status: str, deadline: float) -> None:
        seconds = backoff(attempt, base=0.02, cap=LONGEST_PAUSE)
        left = deadline - time.monotonic()
        # To the end: whoever asked again now would be told no more than that the time ran out.
        time.sleep(max(0.0, min(seconds, left)))
        if seconds >= left:
            raise self._unready(status or "not to be found yet")

    def _unready(self, status: str) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"{self.where} is being made, and was {status} when the time ran out. DynamoDB takes "
            f"some seconds for it: try again, or make the table beforehand "
            f"(`python -m fibonacci_dynamodb` prints its definition)"
        )
