"""How a record is stored in the table, as another client reads it."""

import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.dynamodb import Moto

from fibonacci import NO_EXPIRY, CorruptRecordError, MemoryManager, ValueTooLargeError
from fibonacci.plugin import SCOPES, Address, Space
from fibonacci_dynamodb import schema

from . import aws_limits
from .aws_ledger import Ledger
from .aws_responses import respond
from .conftest import Open, name_of

PREFIXES = st.text("ab: v1".replace(" ", ""), max_size=8)
OWNERS = st.text("ab: v1", min_size=1, max_size=8)
SPACES = st.builds(Space, PREFIXES, st.sampled_from(SCOPES), OWNERS)


@given(st.sets(SPACES, min_size=2))
def test_spaces_have_distinct_partition_keys(spaces: set[Space]):
    """No two spaces have the same partition key, whatever characters their parts contain (C1)."""
    assert len({schema.partition_key(space) for space in spaces}) == len(spaces)


def test_attributes_of_a_record(moto_server: Moto, open_memory: Open):
    """A record is one item: readable keys, one binary value, and its expiry in two units."""
    url = moto_server.fresh
    memory = open_memory(url, name="chat bot")
    memory.set("histöry", [1], scope="user", user_id="u: 1")
    memory.set("late", [2], ttl=60.5)
    before = time.time()
    permanent, expiring = sorted(moto_server("Scan", TableName=name_of(url))["Items"], key=len)
    assert permanent == {
        "pk": {"S": "fibonacci: user u: 1"},
        "sk": {"S": "histöry"},
        "v": {"B": b64encode(b"[1]").decode()},
    }
    assert expiring["pk"] == {"S": "fibonacci: workflow chat bot"}
    expires_ms, expires_s = (int(expiring[name]["N"]) for name in ("expires_ms", "expires_s"))
    assert before + 59 < expires_ms / 1000 <= before + 60.5
    assert expires_s - 1 < expires_ms / 1000 <= expires_s


def test_append_keeps_the_expiry_and_touch_removes_it(moto_server: Moto, open_memory: Open):
    """append() keeps both expiry attributes; touch() with NO_EXPIRY removes both (C13)."""
    url = moto_server.fresh
    memory = open_memory(url)
    memory.set("k", [1], ttl=60)
    (first,) = moto_server("Scan", TableName=name_of(url))["Items"]
    memory.append("k", 2)
    (then,) = moto_server("Scan", TableName=name_of(url))["Items"]
    assert {**then, "v": first["v"]} == first
    assert then["v"] != first["v"]
    memory.touch("k", 120.0)
    (later,) = moto_server("Scan", TableName=name_of(url))["Items"]
    assert int(later["expires_s"]["N"]) > int(then["expires_s"]["N"]) + 50
    memory.touch("k", NO_EXPIRY)
    (last,) = moto_server("Scan", TableName=name_of(url))["Items"]
    assert set(last) == {"pk", "sk", "v"}


def test_foreign_items_are_corrupt_or_ignored(moto_server: Moto, open_memory: Open):
    """Another application's items raise CorruptRecordError; invalid keys are ignored (C1, C8)."""
    url = moto_server.fresh
    memory = open_memory(url)
    memory.set("k", 1)
    pk = {"S": "fibonacci: workflow w"}
    items = [
        {"sk": {"S": "no value"}},
        {"sk": {"S": "text"}, "v": {"S": "1"}},
        {"sk": {"S": "odd expiry"}, "v": {"B": "MQ=="}, "expires_ms": {"S": "soon"}},
        {"sk": {"S": "long" * 255}, "v": {"B": "MQ=="}},
    ]
    for item in items:
        moto_server("PutItem", TableName=name_of(url), Item={"pk": pk, **item})
    for key in ("no value", "text", "odd expiry"):
        with pytest.raises(CorruptRecordError, match=key):
            memory.get(key)
    odd = {"pk": pk, "sk": {"S": "odd expiry"}}  # moto's Query fails on it
    moto_server("DeleteItem", TableName=name_of(url), Key=odd)
    assert memory.list_keys() == ["k", "no value", "text"]
    memory.clear()
    (left,) = moto_server("Scan", TableName=name_of(url))["Items"]
    assert left["sk"] == {"S": "long" * 255}


@pytest.mark.parametrize("owner", ["w", "漢" * 333])
def test_largest_record_fits(open_memory: Open, table_url: str, ledger: Ledger, owner: str):
    """A record of the largest size is stored; one more byte raises ValueTooLargeError (C10).

    The error has both sizes, and nothing is sent. With max_items, append() drops old items to fit.
    """
    memory = open_memory(table_url, name=owner)
    address = Address(Space("fibonacci:", "workflow", owner), "k")
    expiry = len("expires_ms") + 8 + len("expires_s") + 6
    rest = aws_limits.size(schema.create_item(address, b"", None)) + expiry + len('""')
    room = 409_600 - rest
    memory.exists("k")
    ledger.script.add("PutItem", respond({}))  # moto's own limit is lower
    assert memory.set("k", "x" * room, ttl=60) is True
    assert 409_590 < aws_limits.size(ledger.requests[-1][1]["Item"]) <= 409_600
    with pytest.raises(
        ValueTooLargeError, match=f"{room + 3:,} bytes.*room for {room + 2:,} of its"
    ):
        memory.set("k", "x" * (room + 1), ttl=60)
    with pytest.raises(ValueTooLargeError):
        memory.set_many({"other": 1, "k": "x" * 500_000})
    memory.set("k", ["x" * 300_000])
    with pytest.raises(ValueTooLargeError):
        memory.append("k", "x" * 200_000)
    assert memory.get("k") == ["x" * 300_000]
    assert memory.append("k", "y" * 200_000, max_items=20) == 1
    assert memory.get("k") == ["y" * 200_000]
    assert memory.exists("other") is False


def test_remaining_ttl_is_at_most_the_ttl():
    """A new record's remaining ttl is at most its ttl (C11)."""
    address = Address(Space("", "global", ""), "k")
    for _ in range(1_000):
        left = schema.item_ttl_ms(schema.create_item(address, b"", 60_000), address)
        assert isinstance(left, int)
        assert left <= 60_000


def test_record_lives_for_its_ttl(memory: MemoryManager):
    """A record lives by this machine's clock, and never shorter than its ttl (C12)."""
    start = time.monotonic()
    memory.set("k", 1, ttl=0.2)
    while memory.exists("k"):
        time.sleep(0.005)
    assert time.monotonic() - start > 0.19
