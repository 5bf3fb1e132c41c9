"""Adopting a list of messages, or of turns, that an application kept under a key itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from fibonacci._memory.history.layout import HEAD_BYTES, Head, Page, StoredTurn, is_head
from fibonacci._memory.history.messages import Message, check_messages
from fibonacci._memory.history.page_ttl import (
    extend_page,
    head_ttl_ms,
    longer,
    new_mark,
    shorten_page,
    with_margin,
)
from fibonacci._memory.history.records import BATCH_SIZE, HistoryRecords
from fibonacci._memory.history.removal import remove_other_generations
from fibonacci.errors import (
    ConflictError,
    InvalidArgumentError,
    OutcomeUnknownError,
    WrongTypeError,
)
from fibonacci.plugin.address import Address
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
    adoption = _Adoption(records)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        found = await records.store.read(records.address, deadline=records.due())
        if found is None:
            return await adoption.finish("")
        value: Any = records.context.serializer.deserialize(found, records.address)
        if is_head(value):
            return await adoption.finish(value["generation"])
        turns = [store_turn(messages) for messages in split_turns(value, str(records.address))]
        copy = await adoption.write_copy(turns)
        if await adoption.replace(found, copy):
            return await adoption.finish(copy.head.generation)
        await records.store.pause(attempt, records.address, deadline=records.due())
    raise ConflictError(
        f"gave up on adopting {records.address}: other writers changed the list each time"
    )


@attrs.frozen(kw_only=True)
class _Copy:
    """A list as a history, of which the pages are stored."""

    head: Head
    pages: Sequence[Page]
    ttl_ms: int | None
    """What the list had left when it was copied, in milliseconds; None: for ever."""


class _Adoption:
    """One caller's attempts to adopt a list."""

    def __init__(self, records: HistoryRecords) -> None:
        self._records = records
        self._copies: dict[str, _Copy] = {}
        """By generation: those whose heads may have taken the list's place."""

    async def write_copy(self, turns: Sequence[StoredTurn]) -> _Copy:
        """Store the pages of a history with these turns."""
        left = await head_ttl_ms(self._records)
        head, pages = build(self._records, turns)
        await write_pages(self._records, head, pages, with_margin(left))
        copy = _Copy(head=head, pages=pages, ttl_ms=left)
        self._copies[head.generation] = copy
        return copy

    async def replace(self, found: bytes, copy: _Copy) -> bool:
        """Write the head if the list is still the same; return whether it certainly was written."""
        data, store = self._records.serialize_head(copy.head), self._records.store
        try:
            if await store.compare_and_set(
                self._records.address, found, data, KEEP_TTL, deadline=self._records.due()
            ):
                return True
        except OutcomeUnknownError:
            return False  # the next read tells
        await self._remove(copy)
        return False

    async def finish(self, generation: str) -> bool:
        """Remove the other copies; return whether the head of this generation is of one of them."""
        for copy in list(self._copies.values()):
            if copy.head.generation != generation:
                await self._remove(copy)
        if generation not in self._copies:
            return False
        await self._adjust_ttls(self._copies[generation])
        await remove_other_generations(self._records)
        return True

    async def _remove(self, copy: _Copy) -> None:
        del self._copies[copy.head.generation]
        addresses = self._page_addresses(copy)
        for start in range(0, len(addresses), BATCH_SIZE):
            part = addresses[start : start + BATCH_SIZE]
            await self._records.store.remove_many(part, deadline=self._records.due())

    async def _adjust_ttls(self, copy: _Copy) -> None:
        """If the list was given another ttl while it was copied, have the pages live as long."""
        left = await head_ttl_ms(self._records)
        ttl_ms = with_margin(left)
        for address in self._page_addresses(copy):
            if copy.ttl_ms is None and left is not None:
                await shorten_page(self._records, address, ttl_ms, mark="")
            elif longer(left, copy.ttl_ms) != copy.ttl_ms:
                await extend_page(self._records, address, ttl_ms, new_mark())

    def _page_addresses(self, copy: _Copy) -> list[Address]:
        generation = copy.head.generation
        return [self._records.page_address(generation, page.first) for page in copy.pages]


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
    """Yield turns. Of messages, one begins with what the user says after an answer."""
    turn: list[Message] = []
    is_answered = False
    for item in items:
        is_message = "role" in item
        message = check_messages([item])[0] if is_message else {}
        if turn and (not is_message or (is_answered and _is_said(message))):
            yield turn
            turn, is_answered = [], False
        if is_message:
            turn.append(message)
            is_answered = is_answered or message["role"] in _ANSWERS
        else:
            yield _pair(item)
    if turn:
        yield turn


def _is_said(message: Message) -> bool:
    """Return whether the user said it: Anthropic's API has the results of tools under that role."""
    content = message.get("content")
    blocks = content if isinstance(content, list | tuple) else ()
    is_result = any(block.get("type") == "tool_result" for block in blocks)
    return message["role"] == "user" and not is_result


def _pair(item: Mapping[str, Any]) -> list[Message]:
    """Return the messages of a turn without roles."""
    for field in item:
        if field not in _PAIR:
            raise InvalidArgumentError(
                f"a turn has the field {field[:40]!r}, which a history has no place for"
            )
    said = [{"role": role, "content": item[role]} for role in _PAIR if item.get(role) is not None]
    return check_messages(said)


def build(records: HistoryRecords, turns: Sequence[StoredTurn]) -> tuple[Head, list[Page]]:
    """Return the head and the pages of a history with these turns."""
    sizes: list[int] = []
    head = Head(expires=True)  # it has the list's ttl, which may change until it is written
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
