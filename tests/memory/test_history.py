"""Histories: turns, windows and the transcript."""

import asyncio
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fibonacci import (
    NO_EXPIRY,
    CorruptRecordError,
    FunctionNode,
    History,
    InvalidArgumentError,
    InvalidKeyError,
    MemoryConfig,
    MemoryManager,
    NodeContext,
    RunMemory,
    ScopeError,
    SerializationError,
    StorageError,
    Turn,
    ValueTooLargeError,
    Workflow,
    WrongTypeError,
)

from .stopping_store import FullHistory

MARGIN = 3_600
"""Seconds that older turns may be kept longer than the history."""

LONG = "x" * 400
"""Content of which about twelve turns fill a page."""

MESSAGE = {"role": "user", "content": "Hello"}

TOOL_TURN: list[dict[str, Any]] = [
    {"role": "user", "content": "What is 2 + 3?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "5"},
    {"role": "assistant", "content": [{"type": "text", "text": "It is 5."}]},
]


@pytest.fixture
def history(memory: MemoryManager) -> History:
    """An empty history."""
    return memory.history("chat", user_id="ada")


def add_turns(history: History, count: int, *, content: str = LONG) -> None:
    """Add numbered turns of a question and an answer."""
    for number in range(count):
        history.add(user=f"{number}", assistant=f"{content} {number}")


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the turns whose questions are among the messages."""
    return [int(message["content"]) for message in messages if message["content"].isdigit()]


def transcript(history: History, *, limit: int = 7) -> Iterator[Turn]:
    """Yield all turns, the newest first, page by page."""
    before = None
    while page := history.turns(before, limit):
        yield from reversed(page)
        before = page[0].number


def test_empty_history(history: History) -> None:
    """A history that nobody added to has no messages, no turns, and no record."""
    assert history.messages() == [] == history.turns()
    assert history.count() == 0
    assert history.clear() is True
    assert not history.touch(60)
    assert not history.adopt()


def test_turn_of_question_and_answer(history: History) -> None:
    """A question and an answer become two messages of one turn."""
    assert history.add(user="Hello", assistant="Hi, Ada") is True
    assert history.messages() == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi, Ada"},
    ]
    assert history.count() == 1


def test_messages_keep_what_providers_define(history: History) -> None:
    """Tool calls, blocks and other fields come back as they were added."""
    history.add(*TOOL_TURN)
    assert history.messages() == TOOL_TURN
    assert history.count() == 1


def test_turn_of_the_transcript(history: History) -> None:
    """The transcript says of each turn its number, id, time and tokens."""
    history.add(user="Hello", assistant="Hi", id="first")
    history.add(user="And?")
    first, second = history.turns()
    assert (first.number, first.id, first.tokens) == (0, "first", 2 + 4 + 1 + 4)
    assert (second.number, second.messages) == (1, [{"role": "user", "content": "And?"}])
    assert len(second.id) >= 12
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < first.added_at <= second.added_at <= now


def test_transcript_page_by_page(history: History) -> None:
    """Following the numbers backwards lists every turn once, through all records."""
    add_turns(history, 100)
    found = list(transcript(history))
    assert [turn.number for turn in found] == list(range(99, -1, -1))
    assert [turn.messages[0]["content"] for turn in found] == [str(n) for n in range(99, -1, -1)]


def test_transcript_from_any_number(history: History) -> None:
    """A page ends before the number that was passed, wherever that is."""
    add_turns(history, 40)
    for before in range(41):
        page = [turn.number for turn in history.turns(before, 5)]
        assert page == list(range(max(0, before - 5), before))
    assert [turn.number for turn in history.turns(1_000, 2)] == [38, 39]


def test_window_has_whole_turns(history: History) -> None:
    """max_tokens limits the tokens of the messages, and no turn is cut."""
    add_turns(history, 60)
    tokens = [turn.tokens for turn in history.turns(limit=60)]
    for wanted in range(1, 61):
        budget = sum(tokens[-wanted:])
        expected = list(range(60 - wanted, 60))
        assert numbers(history.messages(max_tokens=budget)) == expected
        assert numbers(history.messages(max_tokens=budget + 1)) == expected
        assert numbers(history.messages(max_tokens=budget - 1)) == expected[1:]


def test_window_with_max_turns(history: History) -> None:
    """max_turns limits the turns of a window, with or without max_tokens."""
    add_turns(history, 60)
    assert numbers(history.messages(max_turns=25)) == list(range(35, 60))
    assert numbers(history.messages(max_turns=100)) == list(range(60))
    assert numbers(history.messages(max_tokens=300, max_turns=25)) == [58, 59]
    assert numbers(history.messages(max_tokens=10**6, max_turns=1)) == [59]


def test_estimate_of_tokens(history: History) -> None:
    """Tokens are a quarter of the bytes in UTF-8; blocks and other fields count as JSON."""
    block = {"type": "text", "text": "x" * 400}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "text": "x" * 400}]}
    history.add(user="ü" * 100)
    history.add({"role": "user", "content": [block]})
    history.add(call)
    plain, blocks, calls = (turn.tokens for turn in history.turns())
    assert plain == 200 / 4 + 4
    assert 400 / 4 + 4 < blocks < 120
    assert 400 / 4 + 4 < calls < 130


def test_requests_do_not_grow_with_the_history() -> None:
    """A turn takes two requests, and one or two more to move a page; a window takes two."""
    full = FullHistory()
    history, requests = full.history, full.store.requests
    for number in range(400):
        history.add(user=f"{number}", assistant=LONG)
    counts = []
    for number in range(100):
        requests.clear()
        history.add(user=f"{number}", assistant=LONG)
        counts.append(requests.copy())
    assert {tuple(count) for count in counts} == {
        ("read", "compare_and_set"),
        ("read", "compare_and_set", "compare_and_set"),
    }
    assert counts.count(["read", "compare_and_set"]) > 80
    requests.clear()
    assert len(history.messages(max_tokens=3_000)) == 2 * 27
    assert requests[:2] == ["read", "read_many"]
    assert len(requests) == 2 + 3  # the store's read_many reads each page
    head = full.store.read(history._address, deadline=math.inf)
    assert head is not None
    assert len(head) <= 7_800


def test_turn_that_is_too_large(history: History, memory: MemoryManager) -> None:
    """A turn that does not fit into a record is refused, and nothing is written."""
    history.add(user="x")
    with pytest.raises(ValueTooLargeError):
        history.add(user="x" * (17 * 2**20))
    assert [message["content"] for message in history.messages()] == ["x"]
    assert memory.list_keys("user", "ada") == ["chat"]


def test_clear_of_the_scope(history: History, memory: MemoryManager) -> None:
    """memory.clear() removes histories with their pages; a new one has no old turns."""
    add_turns(history, 100)
    memory.clear("user", "ada")
    assert memory.list_keys("user", "ada") == []
    history.add(user="0")
    assert numbers(history.messages()) == [0]


def test_newest_turn_that_does_not_fit(history: History) -> None:
    """If not even the newest turn fits, no older one takes its place."""
    history.add(user="short")
    history.add(user=LONG)
    assert history.messages(max_tokens=50) == []


def test_id_is_recognized(history: History) -> None:
    """A second turn with the same id is not added, whatever it says, and add() returns False."""
    assert history.add(user="Hello", id="m1")
    assert not history.add(user="Hello again", id="m1")
    assert history.add(user="Other", id="m2")
    assert [message["content"] for message in history.messages()] == ["Hello", "Other"]


def test_newest_256_ids_are_recognized(history: History) -> None:
    """The ids of the newest 256 turns are recognized, wherever the turns are stored."""
    for number in range(300):
        history.add(user=f"{number}", assistant=LONG, id=f"id {number}")
    assert not any(history.add(user="again", id=f"id {number}") for number in range(44, 300))
    assert history.count() == 300
    assert history.add(user="again", id="id 43")


def test_max_turns(history: History, memory: MemoryManager) -> None:
    """max_turns drops older turns at once for readers, and their records with time."""
    for number in range(200):
        history.add(user=f"{number}", assistant=LONG, max_turns=30)
        assert history.count() == min(30, number + 1)
        assert numbers(history.messages()) == list(range(max(0, number - 29), number + 1))
    assert [turn.number for turn in history.turns(limit=50)] == list(range(170, 200))
    assert len(memory.list_keys("user", "ada")) <= 6


def test_max_turns_of_a_long_history(history: History, memory: MemoryManager) -> None:
    """Records of dropped turns are removed even if the head no longer knows their names."""
    for number in range(1_100):
        history.add(user=f"{number}", assistant=LONG, max_turns=900)
    assert numbers(history.messages()) == list(range(200, 1_100))
    for number in range(1_100, 1_200):
        history.add(user=f"{number}", assistant=LONG, max_turns=20)
    assert numbers(history.messages()) == list(range(1_180, 1_200))
    assert len(memory.list_keys("user", "ada")) <= 6


def test_touch_after_max_turns(history: History, memory: MemoryManager) -> None:
    """touch() removes records that have only dropped turns, which would keep their expiry."""
    add_turns(history, 60)
    history.add(user="60", max_turns=1)
    assert len(memory.list_keys("user", "ada")) > 3
    assert history.touch(900)
    assert memory.list_keys("user", "ada") == ["chat"]


def test_clear_removes_all_records(history: History, memory: MemoryManager) -> None:
    """clear() removes the history with all its records, and nothing else."""
    other = memory.history("chat/pages", user_id="ada")
    for each in (history, other, memory.history("chat", "workflow")):
        add_turns(each, 40)
    history.clear()
    assert history.count() == 0
    assert history.turns() == []
    assert numbers(other.messages()) == list(range(40))
    assert memory.history("chat", "workflow").count() == 40
    other.clear()
    assert memory.list_keys("user", "ada") == []


def test_deleted_head_leaves_no_turns(history: History, memory: MemoryManager) -> None:
    """If only the head was deleted, a new history has none of the old turns or records."""
    add_turns(history, 40)
    memory.delete("chat", "user", "ada")
    assert history.messages() == []
    history.add(user="new")
    assert history.messages() == [{"role": "user", "content": "new"}]
    assert memory.list_keys("user", "ada") == ["chat"]


def test_keys_that_contain_each_other(memory: MemoryManager) -> None:
    """Histories whose keys begin with another's share nothing."""
    keys = ["chat", "chat/", "chat/pages/", "chat/pages/x", "chat1", "c"]
    for key in keys:
        for number in range(30):
            memory.history(key, user_id="ada").add(user=f"{number}", assistant=key + LONG)
    for key in keys:
        found = memory.history(key, user_id="ada").turns(limit=50)
        assert {turn.messages[1]["content"] for turn in found} == {key + LONG}
        assert [turn.number for turn in found] == list(range(30))


def test_key_of_a_page_is_no_history(history: History, memory: MemoryManager) -> None:
    """The key of a record with older turns can't be a history's."""
    add_turns(history, 40)
    page = memory.list_keys("user", "ada")[1]
    with pytest.raises(InvalidKeyError, match="is the key of a page"):
        memory.history(page, user_id="ada")


def test_longest_key(memory: MemoryManager) -> None:
    """A key leaves room for the keys of older turns."""
    longest = memory.history("k" * 958, user_id="ada")
    add_turns(longest, 40)
    assert longest.count() == 40 == len(longest.turns())
    with pytest.raises(InvalidKeyError, match="has 959 bytes in UTF-8; it may have 958"):
        memory.history("k" * 959, user_id="ada")
    with pytest.raises(InvalidKeyError, match="it may have 958"):
        memory.history("ü" * 480, user_id="ada")


@pytest.mark.parametrize("size", [10, 1_000, 3_000, 5_000, 20_000, 100_000])
def test_turns_of_any_size(history: History, size: int) -> None:
    """Turns of every size are kept in order, also among small ones."""
    for number in range(30):
        history.add(user=f"{number}", assistant="x" * (size if number % 3 == 0 else 30))
    assert numbers(history.messages()) == list(range(30))
    assert [turn.number for turn in transcript(history)] == list(range(29, -1, -1))


def test_list_of_histories(memory: MemoryManager) -> None:
    """histories() lists the histories of a scope with their sizes, and no other records."""
    ada = memory.for_user("ada")
    for number, key in enumerate(["chat:b", "chat:a", "notes"]):
        add_turns(ada.history(key), 40 + number)
    ada.set("chat:x", {"history": "a value"})
    ada.set_many({f"value {number}": number for number in range(150)})
    memory.history("chat:c", user_id="eve").add(user="x")
    found = ada.histories()
    assert [(one.key, one.count) for one in found] == [
        ("chat:a", 41),
        ("chat:b", 40),
        ("notes", 42),
    ]
    assert found[0].updated_at == ada.history("chat:a").turns()[-1].added_at
    assert [one.key for one in memory.histories(user_id="ada", pattern="chat:*")] == [
        "chat:a",
        "chat:b",
    ]
    assert asyncio.run(ada.ahistories()) == found


def test_views_and_scopes(memory: MemoryManager) -> None:
    """A history is a user's by default, and a view's has the scope of the view."""
    memory.for_user("ada").history("chat").add(user="x")
    assert memory.history("chat", user_id="ada").count() == 1
    memory.for_organization("acme").history("chat").add(user="x")
    assert memory.for_organization("acme").history("chat", "organization").count() == 1
    assert memory.history("chat", "workflow").count() == 0
    with pytest.raises(ScopeError, match="needs a user id"):
        memory.history("chat")
    with pytest.raises(ScopeError, match="only the user scope"):
        memory.for_user("ada").history("chat", "workflow")
    with pytest.raises(ScopeError, match="needs a user id"):
        memory.histories()


def test_history_of_a_run(memory: MemoryManager) -> None:
    """In a run, a history is that of the run's user; a run without a user has none."""
    with_user = memory._for_run(memory._run_spaces("ada", None))
    assert isinstance(with_user, RunMemory)
    with_user.history("chat").add(user="x")
    assert memory.history("chat", user_id="ada").count() == 1
    assert [one.key for one in with_user.histories()] == ["chat"]
    without = memory._for_run(memory._run_spaces(None, None))
    with pytest.raises(ScopeError, match="this run has none"):
        without.history("chat")
    assert without.history("chat", "workflow").count() == 0


def test_async_history(memory: MemoryManager) -> None:
    """Each method has an async form with the same arguments and results."""

    async def use() -> None:
        history = memory.history("chat", user_id="ada")
        for number in range(40):
            assert await history.aadd(user=f"{number}", assistant=LONG, id=f"{number}")
        assert not await history.aadd(user="again", id="39")
        assert numbers(await history.amessages(max_turns=30)) == list(range(10, 40))
        assert [turn.number for turn in await history.aturns(20, 5)] == [15, 16, 17, 18, 19]
        assert await history.acount() == 40
        assert await history.atouch(60)
        assert 50 < (await memory.attl("chat", "user", "ada") or 0) <= 60
        assert await history.aclear() is True

    asyncio.run(use())
    assert memory.list_keys("user", "ada") == []


def test_repr_names_the_history(history: History) -> None:
    """The repr shows key, scope and owner, and no content."""
    history.add(user="secret")
    assert repr(history) == "<History 'chat' in user scope of 'ada'>"
    assert history.key == "chat"


def test_default_ttl() -> None:
    """A history has the default ttl, unless its first turn says otherwise."""
    config = MemoryConfig(connection_url="memory://histories-that-expire", default_ttl=900)
    with Workflow("w", config) as workflow:
        memory = workflow.memory
        for key, ttl in (("default", None), ("own", 60), ("endless", NO_EXPIRY)):
            memory.history(key, user_id="ada").add(user="x", ttl=ttl)
            memory.history(key, user_id="ada").add(user="y")
        left = [memory.ttl(key, "user", "ada") or 0 for key in ("default", "own", "endless")]
    assert 840 < left[0] <= 900
    assert 0 < left[1] <= 60
    assert left[2] == math.inf


def test_ttl_counts_from_the_first_turn(memory: MemoryManager) -> None:
    """A ttl is set by the first turn; later ones neither change nor need it."""
    history = memory.history("chat", user_id="ada")
    history.add(user="x", ttl=60)
    add_turns(history, 40)
    history.add(user="x", ttl=900)
    keys = memory.list_keys("user", "ada")
    left = [memory.ttl(key, "user", "ada") or 0 for key in keys]
    assert len(keys) > 2
    assert 50 < left[0] <= 60
    assert all(left[0] <= each <= 60 + MARGIN for each in left[1:])


def test_touch_renews_all_records(memory: MemoryManager) -> None:
    """touch() gives all records of a history the new expiry, or none."""
    history = memory.history("chat", user_id="ada")
    add_turns(history, 1_000)
    for ttl in (60.0, 900.0, 7_200.0, 1_800.0):
        assert history.touch(ttl) is True
        head, *pages = [memory.ttl(k, "user", "ada") or 0 for k in memory.list_keys("user", "ada")]
        assert ttl - 10 < head <= ttl
        assert all(head < each <= ttl + MARGIN for each in pages)
    add_turns(history, 40)
    left = [memory.ttl(key, "user", "ada") or 0 for key in memory.list_keys("user", "ada")]
    assert all(left[0] <= each <= 1_800 + MARGIN for each in left)
    assert history.touch(NO_EXPIRY)
    assert {memory.ttl(k, "user", "ada") for k in memory.list_keys("user", "ada")} == {math.inf}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "a turn needs at least one message"),
        ([{"role": "users", "content": "x"}], "has the role 'users'.*Did you mean 'user'"),
        ([{"role": 7, "content": "x"}], "message 0 has the role int: it is one of"),
        ([{"content": "x"}], "message 0 has the role NoneType"),
        ([MESSAGE, {"role": "user", "content": ""}], "message 1 is empty"),
        ([{"role": "user", "content": []}], "message 0 is empty"),
        ([{"role": "user"}], "message 0 is empty"),
        ([{"role": "user", "content": None, "name": "bob"}], "message 0 is empty"),
        ([{"role": "assistant", "content": "", "tool_calls": []}], "message 0 is empty"),
        ([{"role": "user", "content": 7}], "must be text or a list of blocks, not int"),
        ([{"role": "user", "content": ["x"]}], "block 0 of message 0 must be a dict, such as"),
        ([{"role": "user", "content": [{}]}], "block 0 of message 0 must be a dict, such as"),
        (["Hello"], "message 0 must be a dict like"),
    ],
)
def test_messages_that_are_wrong(
    history: History, memory: MemoryManager, messages: list[Any], reason: str
) -> None:
    """A message that no provider takes is refused, and nothing is written."""
    with pytest.raises(InvalidArgumentError, match=reason):
        history.add(*messages)
    assert memory.list_keys("user", "ada") == []


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda h: h.add(MESSAGE, user="x"), "either messages, or user="),
        (lambda h: h.add(MESSAGE, max_turns=0), "max_turns must be a whole number of at least 1"),
        (lambda h: h.add(MESSAGE, ttl=0), "ttl must be over 0"),
        (lambda h: h.add(MESSAGE, id=""), "the id of a turn is empty"),
        (lambda h: h.add(MESSAGE, id=7), "the id of a turn must be text, not int"),
        (lambda h: h.add(MESSAGE, id="x" * 1001), "the id of a turn has 1,001 bytes"),
        (lambda h: h.messages(max_tokens=0), "max_tokens must be a whole number of at least 1"),
        (lambda h: h.messages(max_turns=-1), "max_turns must be"),
        (lambda h: h.messages(max_turns=True), "max_turns must be"),
        (lambda h: h.turns(-1), "before must be the number of a turn"),
        (lambda h: h.turns(limit=0), "limit must be a whole number of at least 1"),
        (lambda h: h.turns(limit=None), "limit must be a whole number of at least 1"),
        (lambda h: h.touch(-1), "ttl must be over 0"),
        (lambda h: h.compact(len, keep_tokens=0), "keep_tokens must be"),
        (lambda h: h.compact(None, keep_tokens=5), "summarize must be a function, not NoneType"),
    ],
)
def test_arguments_that_are_wrong(
    history: History, memory: MemoryManager, call: Any, reason: str
) -> None:
    """A wrong argument is refused, and nothing is written."""
    with pytest.raises(InvalidArgumentError, match=reason):
        call(history)
    assert memory.list_keys("user", "ada") == []


def test_values_that_are_not_json(history: History) -> None:
    """A value in a message that is not strict JSON is refused with its path."""
    with pytest.raises(SerializationError, match=r"chat.messages\[0\].score is NaN"):
        history.add({"role": "user", "content": "x", "score": float("nan")})
    assert history.count() == 0


def test_ordinary_value_under_the_key(history: History, memory: MemoryManager) -> None:
    """A key that has another value is refused, and the value stays."""
    odd = {"history": [MESSAGE], "generation": 3, "turns": 9}
    for value in ("text", [MESSAGE], {"history": 1}, None, odd):
        memory.set("chat", value, "user", "ada")
        for call in (
            lambda: history.add(user="x"),
            history.messages,
            history.turns,
            history.count,
            lambda: history.touch(60),
            lambda: history.compact(lambda messages: "", keep_tokens=5),
            history.clear,
        ):
            with pytest.raises(WrongTypeError, match="not a history"):
                call()
        assert memory.get("chat", "user", "ada") == value


def test_layout_of_a_newer_release(history: History, memory: MemoryManager) -> None:
    """A history that a newer release wrote is left as it is."""
    history.add(user="x")
    memory.update("chat", lambda head: head | {"history": 2}, None, "user", "ada")
    with pytest.raises(StorageError, match=r"layout version 2, but this .* version 1: upgrade"):
        history.add(user="y")


@pytest.mark.parametrize(
    "change",
    [
        {"turns": ["odd"]},
        {"turns": [{"id": "x", "at": "odd", "tokens": 1, "messages": [MESSAGE]}]},
        {"turns": [{"id": "x", "at": 1, "tokens": 1, "messages": ["odd"]}]},
        {"pages": "odd"},
        {"pages": [[1]]},
        {"pages": [[0, 5]]},
        {"pages": [[5, 5]]},
        {"summary": "odd"},
        {"summary": {"text": "x", "end": "odd", "tokens": 1}},
        {"count": "odd"},
        {"count": 10},
        {"start": -1},
        {"start": 2},
        {"ids": 7},
        {"count": True},
        {"turns": [{"id": "x", "at": 10**18, "tokens": 1, "messages": [MESSAGE]}]},
        {"turns": [{"id": "x", "at": 1, "tokens": -1, "messages": [MESSAGE]}]},
        {"summary": {"text": "x", "end": 2, "tokens": 1}},
        {"pages": [[1.0, 1]], "count": 2},
        {"generation": "a/b"},
        {"history": 0},
        {"touched": None},
    ],
    ids=str,
)
def test_corrupt_head(history: History, memory: MemoryManager, change: dict[str, Any]) -> None:
    """A head that another program changed is refused, and clear() removes it."""
    history.add(user="x")
    memory.update("chat", lambda head: head | change, None, "user", "ada")
    for call in (history.messages, history.turns, lambda: history.add(user="y")):
        with pytest.raises(CorruptRecordError, match="is corrupt"):
            call()
    history.clear()
    assert history.count() == 0


def test_deleted_page_is_reported(history: History, memory: MemoryManager) -> None:
    """A page that somebody deleted is never skipped in silence; the newer turns can be read."""
    add_turns(history, 60)
    oldest = memory.list_keys("user", "ada")[1]
    memory.delete(oldest, "user", "ada")
    for call in (history.messages, lambda: history.turns(5), lambda: history.touch(60)):
        with pytest.raises(CorruptRecordError, match="has lost its turns 0 to"):
            call()
    assert numbers(history.messages(max_turns=20)) == list(range(40, 60))
    history.add(user="60", assistant="y")
    history.clear()
    assert memory.list_keys("user", "ada") == []


def test_deleted_page_of_a_long_history(history: History, memory: MemoryManager) -> None:
    """A deleted page is reported, too, if the head no longer knows it."""
    add_turns(history, 1_000)
    pages = memory.list_keys("user", "ada")[1:]
    assert len(pages) > 80
    memory.delete(pages[-64], "user", "ada")
    with pytest.raises(CorruptRecordError, match="has lost its turns"):
        history.turns(10)
    memory.delete(pages[0], "user", "ada")
    with pytest.raises(CorruptRecordError, match="has lost its turns"):
        history.messages()


def test_page_that_names_none_before_it(history: History, memory: MemoryManager) -> None:
    """A page that another program cut off from the older ones is refused."""
    add_turns(history, 1_000)
    page = memory.list_keys("user", "ada")[-64]
    memory.update(page, lambda value: value | {"before": []}, None, "user", "ada")
    with pytest.raises(CorruptRecordError, match="knows none before it"):
        history.messages()


def test_corrupt_page_is_reported(history: History, memory: MemoryManager) -> None:
    """A page that another program changed is refused with its key."""
    add_turns(history, 60)
    page = memory.list_keys("user", "ada")[1]
    for value in ({"first": 0}, {"first": 0, "before": [], "turns": [], "mark": ""}, "odd"):
        memory.set(page, value, "user", "ada")
        with pytest.raises(CorruptRecordError, match=f"{page}.*is not a page"):
            history.messages()


def test_function_nodes_add_to_histories() -> None:
    """A function node adds to a history with its run's memory, in sync and async code."""

    def add(ctx: NodeContext) -> int:
        history = ctx.memory.history("chat")
        history.add(user="x")
        return history.count()

    async def aadd(ctx: NodeContext) -> int:
        history = ctx.memory.history("chat")
        await history.aadd(user="x")
        return await history.acount()

    sync = Workflow("histories")
    sync.add_node(FunctionNode("n", add))
    both = Workflow("histories")
    both.add_node(FunctionNode("n", aadd))
    assert sync.execute(user_id="u")["n"] == 1
    assert asyncio.run(sync.aexecute(user_id="u"))["n"] == 2
    assert asyncio.run(both.aexecute(user_id="u"))["n"] == 3
