"""Adopting a list of messages, or of turns, that an application kept under a key itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from fibonacci._memory.history.expiry import Renewal
from fibonacci._memory.history.layout import HEAD_BYTES, Head, Page, StoredTurn, is_head
from fibonacci._memory.history.messages import Message, check_messages
from fibonacci._memory.history.page_ttl import head_ttl_ms, longer, with_margin
from fibonacci._memory.history.records import BATCH_SIZE, HistoryRecords
from fibonacci._memory.history.removal import remove_other_generations
from fibonacci.errors import (
    ConflictError,
    InvalidArgumentError,
    OutcomeUnknownError,
    WrongTypeError,
)
from fibonacci.plugin.storage import KEEP_TTL

MAX_ATTEMPTS: Final = 20
"""How often the list is read at most, if others change it meanwhile."""

_PAIR: Final = ("user", "assistant")
"""The fields of a turn that has no roles."""

_ANSWERS: Final = ("assistant", "tool")

StoreTurn = Callable[[Sequence[Message]], StoredTurn]


async def adopt(records: HistoryRecords, store_turn: StoreTurn) -> bool:
    """Replace a list by a history with its messages; return False if there is no list.

    The pages are written first: until the head takes the place of the list, nobody reads them.
    """
    generations: set[str] = set()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        found = await records.store.read(records.address, deadline=records.due())
        if found is None:
            return False
        value: Any = records.context.serializer.deserialize(found, records.address)
        if is_head(value):
            if value["generation"] not in generations:
                return False
            await remove_other_generations(records)
            return True  # the response was lost
        turns = [store_turn(messages) for messages in split_turns(value, str(records.address))]
        left = await head_ttl_ms(records)
        head, pages = build(records, turns, expires=left is not None)
        generations.add(head.generation)
        await write_pages(records, head, pages, with_margin(left))
        if await _replace(records, found, head):
            await _finish(records, left)
            return True
        await records.store.pause(attempt, records.address, deadline=records.due())
    raise ConflictError(
        f"gave up on adopting {records.address}: other writers changed the list each time"
    )


async def _replace(records: HistoryRecords, found: bytes, head: Head) -> bool:
    """Write the head if the list is still the same; return whether it certainly was written."""
    data = records.serialize_head(head)
    try:
        return await records.store.compare_and_set(
            records.address, found, data, KEEP_TTL, deadline=records.due()
        )
    except OutcomeUnknownError:
        return False


async def _finish(records: HistoryRecords, ttl_ms: int | None) -> None:
    """Remove the pages of other attempts. If the list was given another ttl, renew the pages."""
    left = await head_ttl_ms(records)
    if longer(left, ttl_ms) != ttl_ms or (left is not None and ttl_ms is None):
        await Renewal(records, left).run()
    await remove_other_generations(records)


def split_turns(value: Any, name: str) -> Iterator[list[Message]]:
    """Yield the messages of each turn. Raises WrongTypeError for what is no list of messages."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise WrongTypeError(
            f"{name} holds no list of messages: a history is made of a list of "
            f'{{"role": …, "content": …}}, or of {{"user": …, "assistant": …}}'
        )
    reason = None
    try:
        yield from _group(value)
    except InvalidArgumentError as error:
        reason = str(error)
    if reason is not None:
        raise WrongTypeError(f"{name} holds a list that can't become a history: {reason}")


def _group(items: Sequence[Mapping[str, Any]]) -> Iterator[list[Message]]:
    """Yield turns. Of messages, one begins with the user's that follows an answer."""
    turn: list[Message] = []
    for item in items:
        is_message = "role" in item
        answered = any(message["role"] in _ANSWERS for message in turn)
        if turn and (not is_message or (item["role"] == "user" and answered)):
            yield turn
            turn = []
        if is_message:
            turn += check_messages([item])
        else:
            yield _pair(item)
    if turn:
        yield turn


def _pair(item: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a turn without roles."""
    for field in item:
        if field not in _PAIR:
            raise InvalidArgumentError(
                f"a turn has the field {field[:40]!r}, which a history has no place for"
            )
    said = [{"role": role, "content": item[role]} for role in _PAIR if item.get(role) is not None]
    return check_messages(said)


def build(
    records: HistoryRecords, turns: Sequence[StoredTurn], *, expires: bool
) -> tuple[Head, list[Page]]:
    """Return the head and the pages of a history with these turns."""
    head, sizes = Head(expires=expires), []
    pages: list[Page] = []
    for turn in turns:
        head = head.add(turn, "", None)
        sizes.append(records.size(turn))
        while sum(sizes) > HEAD_BYTES // 2 and len(sizes) > 1:
            page = head.oldest_page(sizes[:-1])
            pages.append(page)
            head, sizes = head.without(len(page.turns)), sizes[len(page.turns) :]
    return head, pages


async def write_pages(
    records: HistoryRecords, head: Head, pages: Sequence[Page], ttl_ms: int | None
) -> None:
    """Write the pages of a head that is not written yet."""
    serialize = records.context.serializer.serialize
    for start in range(0, len(pages), BATCH_SIZE):
        items = []
        for page in pages[start : start + BATCH_SIZE]:
            address = records.page_address(head.generation, page.first)
            items.append((address, serialize(page.to_json(), address)))
        await records.store.write_many(items, ttl_ms, deadline=records.due())
