"""Adopting a list of messages, or of turns, that an application kept under a key itself."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from fibonacci._memory.history import keys
from fibonacci._memory.history.layout import HEAD_BYTES, Head, Page, StoredTurn, is_head
from fibonacci._memory.history.messages import Message, check_messages
from fibonacci._memory.history.records import BATCH_SIZE, HistoryRecords
from fibonacci.errors import InvalidArgumentError, OutcomeUnknownError, WrongTypeError
from fibonacci.plugin.storage import KEEP_TTL

_PAIR: Final = ("user", "assistant")
"""The fields of a turn that has no roles."""

StoreTurn = Callable[[Sequence[Message]], StoredTurn]


async def adopt(records: HistoryRecords, store_turn: StoreTurn) -> bool:
    """Replace a list by a history with its messages; return False if there is no list.

    The pages are written first: until the head takes the place of the list, nobody reads them.
    """
    generations: set[str] = set()
    while True:
        store = records.handle.store
        found = await store.read(records.address, deadline=records.deadline())
        if found is None:
            return False
        value = records.context.serializer.deserialize(found, records.address)
        if is_head(value):
            return value["generation"] in generations
        turns = [store_turn(messages) for messages in split_turns(value, str(records.address))]
        ttl = await store.remaining_ttl_ms(records.address, deadline=records.deadline())
        head, pages = build(records, turns, expires=ttl is not None)
        generations.add(head.generation)
        addresses = await write_pages(records, head, pages)
        data = records.serialize_head(head)
        try:
            if await store.compare_and_set(
                records.address, found, data, KEEP_TTL, deadline=records.deadline()
            ):
                return True
        except OutcomeUnknownError:
            continue  # and keep the pages: the request may still be applied
        for start in range(0, len(addresses), BATCH_SIZE):
            part = addresses[start : start + BATCH_SIZE]
            await store.remove_many(part, deadline=records.deadline())


def split_turns(value: Any, name: str) -> Iterator[list[Message]]:
    """Yield the messages of each turn. Raises WrongTypeError for what is no list of messages."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise WrongTypeError(
            f"{name} holds no list of messages: a history is made of a list of "
            f'{{"role": …, "content": …}}, or of {{"user": …, "assistant": …}}'
        )
    try:
        yield from _group(_to_messages(item) for item in value)
    except InvalidArgumentError as error:
        reason = str(error)
    else:
        return
    raise WrongTypeError(f"{name} holds a list that can't become a history: {reason}")


def _to_messages(item: Mapping[str, Any]) -> list[Message]:
    if "role" in item:
        return check_messages([item])
    return check_messages(
        [{"role": role, "content": item[role]} for role in _PAIR if item.get(role) is not None]
    )


def _group(items: Iterable[list[Message]]) -> Iterator[list[Message]]:
    """Yield turns: each begins with a message of the user that follows one of another role."""
    turn: list[Message] = []
    for messages in items:
        begins = messages[0]["role"] == "user" and any(
            message["role"] in ("assistant", "tool") for message in turn
        )
        if begins:
            yield turn
            turn = []
        turn += messages
    if turn:
        yield turn


def build(
    records: HistoryRecords, turns: Sequence[StoredTurn], *, expires: bool
) -> tuple[Head, list[Page]]:
    """Return the head and the pages of a history with these turns."""
    head, pages, sizes = Head(expires=expires), [], []
    for turn in turns:
        head = head.add(turn, "", None)
        sizes.append(records.size(turn))
        while (page := head.full_page(sizes, HEAD_BYTES // 2)) is not None and len(sizes) > 1:
            pages.append(page)
            head, sizes = head.without(page), sizes[len(page.turns) :]
    return head, pages


async def write_pages(records: HistoryRecords, head: Head, pages: Sequence[Page]) -> list[Any]:
    items = []
    for page in pages:
        address = keys.page_address(records.address, head.generation, page.first)
        items.append((address, records.context.serializer.serialize(page.to_json(), address)))
    ttl_ms = await records.page_ttl_ms(head, records.deadline())
    for start in range(0, len(items), BATCH_SIZE):
        part = items[start : start + BATCH_SIZE]
        await records.handle.store.write_many(part, ttl_ms, deadline=records.deadline())
    return [address for address, _ in items]
