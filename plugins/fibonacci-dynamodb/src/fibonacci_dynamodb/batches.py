"""Several records in one request: in chunks, and again for what DynamoDB left undone."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin.runtime import backoff
from fibonacci_dynamodb.layout import Item
from fibonacci_dynamodb.table import Table

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
READS_AT_ONCE: Final = 100
WRITES_AT_ONCE: Final = 25
LONGEST_PAUSE: Final = 0.5
"""Seconds before what was left undone is asked again."""

T = TypeVar("T")


def read_all(table: Table, keys: Sequence[Item], deadline: float) -> Iterator[Item]:
    """Yield the items that there are, in no order; no key may come twice."""
    for chunk in _chunks(keys, READS_AT_ONCE):
        attempt, left = 0, {table.name: {"Keys": chunk, "ConsistentRead": True}}
        while left:
            found = table.ask("batch_get_item", {"RequestItems": left}, deadline=deadline)
            yield from found.get("Responses", {}).get(table.name, ())
            left = found.get("UnprocessedKeys", {})
            if left:
                attempt += 1
                _pause(attempt, table, deadline)


def write_all(table: Table, requests: Sequence[dict[str, Any]], deadline: float) -> None:
    """Write and delete what the requests say; no two of them may be about one record.

    Raises OutcomeUnknownError if some may have been done, BackendUnavailableError if surely none.
    """
    done = 0
    try:
        for chunk in _chunks(requests, WRITES_AT_ONCE):
            attempt, left = 0, chunk
            while left:
                asked = {"RequestItems": {table.name: left}}
                found = table.ask("batch_write_item", asked, changes=True, deadline=deadline)
                before = len(left)
                left = found.get("UnprocessedItems", {}).get(table.name, [])
                done += before - len(left)
                if left:
                    attempt += 1
                    _pause(attempt, table, deadline)
    except BackendUnavailableError as fault:
        if not done:
            raise
        raise OutcomeUnknownError(
            f"{done} of {len(requests)} records were done, and then: {fault}"
        ) from None


def _chunks(things: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(things)
    while chunk := list(islice(rest, size)):
        yield chunk


def _pause(attempt: int, table: Table, deadline: float) -> None:
    """Wait before asking again, longer each time: what is left undone was too much at once.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
    """
    seconds = backoff(attempt, base=0.025, cap=LONGEST_PAUSE)
    if time.monotonic() + seconds >= deadline:
        raise BackendUnavailableError(
            f"DynamoDB put off a part of a batch until the time ran out: {table.where} has less "
            f"capacity than is asked of it"
        )
    time.sleep(seconds)
