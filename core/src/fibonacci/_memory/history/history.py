"""History: a conversation in turns, as ``memory.history("chat")`` returns it."""

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from inspect import iscoroutinefunction
from math import inf
from secrets import token_urlsafe
from time import time
from typing import Any, Literal

import attrs

from fibonacci._memory import codec
from fibonacci._memory.callbacks import reject_awaitable
from fibonacci._memory.context import MemoryContext
from fibonacci._memory.expiry import TTL, ttl_to_ms
from fibonacci._memory.history import keys
from fibonacci._memory.history.adding import Addition
from fibonacci._memory.history.adoption import adopt
from fibonacci._memory.history.compaction import Compaction
from fibonacci._memory.history.layout import ID_LENGTH, Head, StoredTurn
from fibonacci._memory.history.messages import check_messages, estimate_tokens
from fibonacci._memory.history.reading import (
    Window,
    read_beside,
    read_range,
    read_whole,
    read_window,
)
from fibonacci._memory.history.records import HistoryRecords
from fibonacci._memory.history.removal import remove_history
from fibonacci._memory.history.renewal import Renewal
from fibonacci._memory.numbers import is_count
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin._runtime.threads import run_in_thread
from fibonacci.plugin.address import Address, name_problem
from fibonacci.plugin.models import Message

Content = str | Sequence[dict[str, Any]]
"""Text, or a list of blocks as providers define them."""


@attrs.frozen(kw_only=True)
class Turn:
    """One turn of a history: messages that were added at once.

    Attributes:
        number: 0 for the first turn that was ever added.
        id: what was passed to ``add`` as ``id``, else random.
        added_at: when, in UTC, by the clock of the process that added it.
        messages: dicts with ``role``, ``content`` and whatever else was in them.
        tokens: an estimate: for each message the bytes in UTF-8 / 4, rounded up, and 4. Blocks,
            tool calls and other fields count as JSON.
    """

    number: int
    id: str
    added_at: datetime
    messages: list[Message]
    tokens: int


@attrs.frozen(kw_only=True)
class HistoryInfo:
    """One history of a scope, as a list of chats shows it.

    Attributes:
        key: the key of the history in its scope.
        count: how many turns it has.
        updated_at: when the newest turn was added, in UTC; None if an empty list was adopted.
    """

    key: str
    count: int
    updated_at: datetime | None


class History:
    """A conversation, kept in turns; each method has an async form.

    A *turn* is one or more messages that are added at once and stay together: a question and its
    answer, with the tool calls between them. Writers may be many, in threads, tasks and processes:
    each turn is added once, and all readers see the same order.

    The object is small, and creating it sends no request. ``memory.history("chat")`` returns one.
    """

    _sync_view: "History"
    """The same history over the blocking store: its coroutines never suspend."""

    def __init__(self, address: Address, context: MemoryContext) -> None:
        """Created by ``memory.history``."""
        keys.check_key(address.key)
        self._address = address
        self._context = context
        self._is_sync = False
        self._records = HistoryRecords(address, context, context.handle)
        view = copy(self)
        view._is_sync = True
        view._records = HistoryRecords(address, context, context.handle.sync)
        self._sync_view = view

    @property
    def key(self) -> str:
        """The key of the history in its scope."""
        return self._address.key

    def __repr__(self) -> str:
        """Which history it is."""
        return f"<History {self._address}>"

    def add(
        self,
        *messages: Message,
        user: Content | None = None,
        assistant: Content | None = None,
        id: str | None = None,  # noqa: A002 - the field's word
        max_turns: int | None = None,
        ttl: TTL | None = None,
    ) -> bool:
        """Add one turn; return False if the history has a turn with this id already.

        Args:
            messages: the turn's messages: dicts with ``role`` and ``content``. Content is text or
                a list of blocks, and other fields are kept as they are.
            user: instead of ``messages``: what the user said.
            assistant: instead of ``messages``: what the model answered.
            id: names the turn, so that a second try adds nothing: text of 1 to 1,000 bytes in
                UTF-8. It is recognized among the newest 256 turns that have one.
            max_turns: drops all but so many of the newest turns; pass it each time.
            ttl: seconds to live, if this is the first turn; ``default_ttl`` if None, for ever with
                NO_EXPIRY.

        Raises InvalidArgumentError, SerializationError, WrongTypeError if the key has another
        value, ValueTooLargeError, ConflictError if other writers won until the deadline, and what
        ``get`` raises. If a response is lost, the history is read to see whether the turn was
        added: OutcomeUnknownError only if that fails, too.
        """
        return run_sync(
            self._sync_view.aadd(
                *messages, user=user, assistant=assistant, id=id, max_turns=max_turns, ttl=ttl
            )
        )

    async def aadd(
        self,
        *messages: Message,
        user: Content | None = None,
        assistant: Content | None = None,
        id: str | None = None,  # noqa: A002 - the field's word
        max_turns: int | None = None,
        ttl: TTL | None = None,
    ) -> bool:
        """Add one turn; the async form of ``add``."""
        digest = _digest(id)
        addition = Addition(
            self._records,
            self._store_turn(_turn_messages(messages, user, assistant), id),
            digest=digest,
            max_turns=_count(max_turns, "max_turns"),
            ttl_ms=self._context.default_ttl_ms if ttl is None else ttl_to_ms(ttl),
        )
        return await addition.run()

    def messages(
        self, max_tokens: int | None = None, max_turns: int | None = None
    ) -> list[Message]:
        """Return what a model should be sent: the newest whole turns that fit, oldest first.

        A summary that ``compact`` made comes first, for the turns that it stands for; it counts in
        ``max_tokens``, and is left out if it does not fit. If not even the newest turn fits, the
        list has no turn in it.

        Args:
            max_tokens: of all messages together, by the estimate of :attr:`Turn.tokens`.
            max_turns: how many turns at most.

        Raises InvalidArgumentError, WrongTypeError if the key has another value, CorruptRecordError
        if a record of the history was deleted, and what ``get`` raises.
        """
        return run_sync(self._sync_view.amessages(max_tokens, max_turns))

    async def amessages(
        self, max_tokens: int | None = None, max_turns: int | None = None
    ) -> list[Message]:
        """Return what a model should be sent; the async form of ``messages``."""
        tokens = _count(max_tokens, "max_tokens") or inf
        turns = _count(max_turns, "max_turns") or inf
        window = await read_whole(
            self._records, lambda head: read_window(self._records, head, tokens, turns)
        )
        return (window or Window()).messages

    async def _read_window(
        self, value: Any, *, max_tokens: int, max_turns: int | None, deadline: float
    ) -> Window:
        """Return what ``messages`` finds, for a head that was read as a value; None: no head.

        Raises what ``messages`` raises.
        """
        head = None if value is None else self._records.head_of(value)
        turns = inf if max_turns is None else max_turns
        found = await read_beside(
            self._records,
            head,
            lambda head: read_window(self._records, head, max_tokens, turns, deadline),
            deadline,
        )
        return found or Window()

    def turns(self, before: int | None = None, limit: int = 50) -> list[Turn]:
        """Return a part of the transcript: the newest turns before a number, oldest first.

        ``history.turns(before=part[0].number)`` returns the part before ``part``; an empty list is
        the end. Compaction changes nothing here.

        Args:
            before: the number of a turn; None: from the newest on.
            limit: how many turns at most.

        Raises what ``messages`` raises.
        """
        return run_sync(self._sync_view.aturns(before, limit))

    async def aturns(self, before: int | None = None, limit: int = 50) -> list[Turn]:
        """Return a part of the transcript; the async form of ``turns``."""
        if before is not None and (type(before) is not int or before < 0):
            raise InvalidArgumentError("before must be the number of a turn, 0 or more, or None")
        count = _required_count(limit, "limit")

        async def read(head: Head) -> list[Turn]:
            end = head.count if before is None else min(before, head.count)
            first = max(head.start, end - count)
            if first >= end:
                return []
            found = await read_range(self._records, head, first, end)
            return [_turn(number, turn) for number, turn in enumerate(found.turns, found.first)]

        return await read_whole(self._records, read) or []

    def count(self) -> int:
        """Return how many turns the history has.

        Raises WrongTypeError if the key has another value, and what ``get`` raises.
        """
        return run_sync(self._sync_view.acount())

    async def acount(self) -> int:
        """Return how many turns the history has; the async form of ``count``."""
        head = await self._records.read_head()
        return 0 if head is None else head.count - head.start

    def compact(
        self,
        summarize: Callable[[list[Message]], str],
        *,
        keep_tokens: int,
        portion_tokens: int = 8_000,
    ) -> bool:
        """Have a summary stand for the oldest turns in ``messages``; return whether one was stored.

        ``turns`` still returns them all. While ``summarize`` runs nothing is locked: turns that are
        added meanwhile stay, and the summary is dropped if the history was cleared, or another
        summary was faster.

        Args:
            summarize: gets messages, the last summary first, and returns a new summary of all of
                them. It is called once for each portion; what it raises passes through, and the
                summaries of earlier portions stay.
            keep_tokens: tokens of the newest turns that stay as they are; a newest turn that has
                more is summarized, too. A summary may have as many, and at most half of
                ``portion_tokens``.
            portion_tokens: tokens that ``summarize`` gets at once, with the last summary; but at
                least one turn, however large it is.

        Raises InvalidArgumentError for a summary that is empty, no text or too long, and what
        ``add`` raises.
        """
        return run_sync(
            self._sync_view.acompact(
                summarize, keep_tokens=keep_tokens, portion_tokens=portion_tokens
            )
        )

    async def acompact(
        self,
        summarize: Callable[[list[Message]], str | Awaitable[str]],
        *,
        keep_tokens: int,
        portion_tokens: int = 8_000,
    ) -> bool:
        """Have a summary stand for the oldest turns; the async form of ``compact``.

        ``summarize`` may be a coroutine function. Any other runs in a thread.
        """
        if not callable(summarize):
            kind = type(summarize).__name__
            raise InvalidArgumentError(f"summarize must be a function, not {kind}")

        async def ask(messages: list[Message]) -> Any:
            if self._is_sync:
                return reject_awaitable(summarize(messages), "summarize")
            if iscoroutinefunction(summarize):
                return await summarize(messages)
            return reject_awaitable(
                await run_in_thread(partial(summarize, messages)), "summarize, unless it is async,"
            )

        compaction = Compaction(
            self._records,
            ask,
            keep_tokens=_required_count(keep_tokens, "keep_tokens"),
            portion_tokens=_required_count(portion_tokens, "portion_tokens"),
        )
        return await compaction.run()

    def adopt(self) -> bool:
        """Make a history of the list under this key; return False if there is no list.

        Its items are messages, with ``role`` and ``content``, or turns, with ``user`` and
        ``assistant`` and no other field. Of messages, a turn begins with what the user
        says after an answer; results of tools stay with their calls. The expiry stays. A history is
        left as it is.

        Raises WrongTypeError for any other value, which stays as it is, and what ``add`` raises.
        """
        return run_sync(self._sync_view.aadopt())

    async def aadopt(self) -> bool:
        """Make a history of the list under this key; the async form of ``adopt``."""
        return await adopt(self._records, lambda messages: self._store_turn(messages, None))

    def touch(self, ttl: TTL) -> bool:
        """Give the whole history a new expiry; return whether there is one.

        It takes three requests and more for each page, about 4 KB of turns. After an error, call
        it again: until then older turns may stay in the store longer than the history.
        ``memory.touch`` with the key of the history would leave them with their expiry.

        Args:
            ttl: seconds to live from now, or NO_EXPIRY.

        Raises what ``add`` raises.
        """
        return run_sync(self._sync_view.atouch(ttl))

    async def atouch(self, ttl: TTL) -> bool:
        """Give the whole history a new expiry; the async form of ``touch``."""
        return await Renewal(self._records, ttl_to_ms(ttl)).run()

    def clear(self) -> Literal[True]:
        """Delete the history. A turn that is added meanwhile begins a new one.

        It takes several requests; after an error, call it again. Raises WrongTypeError if the key
        has another value, which stays (but not if it is written at that moment), and what ``get``
        raises: a record that can't be read has to be removed by ``memory.delete`` first.
        """
        return run_sync(self._sync_view.aclear())

    async def aclear(self) -> Literal[True]:
        """Delete the history; the async form of ``clear``."""
        await remove_history(self._records)
        return True

    def _estimate_tokens(self, messages: Sequence[Message]) -> int:
        return sum(estimate_tokens(message, self._address) for message in messages)

    def _check_turn(self, messages: Sequence[Message]) -> None:
        """Raise what ``add(*messages)`` would raise, as far as that is known without a request.

        That is InvalidArgumentError, SerializationError and ValueTooLargeError. In sync code it is
        called on the sync view.
        """
        turn = self._store_turn(check_messages(messages), None)
        # A new history's head. One with a summary, pages and ids has less room, by some KB or more:
        # only a request could tell, and what could be added must not be refused here.
        head = Head(expires=self._context.default_ttl_ms is not None).add(turn, "", None)
        self._records.check_head(head)

    def _store_turn(self, messages: Sequence[Message], turn_id: str | None) -> StoredTurn:
        """Return the turn as it is stored. Raises SerializationError."""
        # A copy: the caller may change its own meanwhile.
        data = codec.encode({"messages": list(messages)}, self._address)
        copies = codec.decode(data, self._address)["messages"]
        return StoredTurn(
            id=token_urlsafe(9) if turn_id is None else turn_id,
            added_at=int(time() * 1000),
            tokens=self._estimate_tokens(copies),
            messages=copies,
        )


def _turn_messages(
    messages: Sequence[Any], user: Content | None, assistant: Content | None
) -> list[Message]:
    said = [("user", user), ("assistant", assistant)]
    named = [{"role": role, "content": content} for role, content in said if content is not None]
    if messages and named:
        raise InvalidArgumentError("pass either messages, or user=... and assistant=...")
    return check_messages(messages or named)


def _digest(turn_id: Any) -> str:
    """Return what the head keeps of a caller's id."""
    if turn_id is None:
        return ""
    problem = (
        name_problem(turn_id)
        if isinstance(turn_id, str)
        else f"must be text, not {type(turn_id).__name__}"
    )
    if problem is not None:
        raise InvalidArgumentError(f"the id of a turn {problem}")
    return urlsafe_b64encode(sha256(turn_id.encode()).digest())[:ID_LENGTH].decode()


def _count(value: Any, name: str) -> int | None:
    if value is not None and not is_count(value):
        raise InvalidArgumentError(f"{name} must be a whole number of at least 1, or None")
    return value


def _required_count(value: Any, name: str) -> int:
    if not is_count(value):
        raise InvalidArgumentError(f"{name} must be a whole number of at least 1")
    return value


def history_info(key: str, head: Head) -> HistoryInfo:
    """Return what a list of histories shows of a head."""
    updated_at = _datetime(head.turns[-1].added_at) if head.turns else None
    return HistoryInfo(key=key, count=head.count - head.start, updated_at=updated_at)


def _datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _turn(number: int, turn: StoredTurn) -> Turn:
    return Turn(
        number=number,
        id=turn.id,
        added_at=_datetime(turn.added_at),
        messages=list(turn.messages),
        tokens=turn.tokens,
    )
