"""How a record lies in the table, seen from behind the store."""

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
from .aws_responses import answer
from .conftest import Open, name_of

PREFIXES = st.text("ab: v1".replace(" ", ""), max_size=8)
OWNERS = st.text("ab: v1", min_size=1, max_size=8)
SPACES = st.builds(Space, PREFIXES, st.sampled_from(SCOPES), OWNERS)


@given(st.sets(SPACES, min_size=2))
def test_partitions_differ(spaces: set[Space]):
    """No two spaces share a partition, whatever their parts are made of (C1)."""
    assert len({schema.partition_key(space) for space in spaces}) == len(spaces)


def test_attributes(moto_server: Moto, open_memory: Open):
    """A record is one item: names as they are, one binary value, and two forms of its expiry."""
    url = moto_server.fresh
    memory = open_memory(url, name="chat bot")
    memory.set("histöry", [1], scope="user", user_id="u: 1")
    memory.set("late", [2], ttl=60.5)
    before = time.time()
    lying, late = sorted(moto_server("Scan", TableName=name_of(url))["Items"], key=len)
    assert lying == {
        "pk": {"S": "fibonacci: user u: 1"},
        "sk": {"S": "histöry"},
        "v": {"B": b64encode(b"[1]").decode()},
    }
    assert late["pk"] == {"S": "fibonacci: workflow chat bot"}
    expires_ms, expires_s = (int(late[name]["N"]) for name in ("expires_ms", "expires_s"))
    assert before + 59 < expires_ms / 1000 <= before + 60.5
    assert expires_s - 1 < expires_ms / 1000 <= expires_s


def test_expiry_is_kept_and_removed(moto_server: Moto, open_memory: Open):
    """An append leaves both forms of the expiry; a touch without end removes both (C13)."""
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


def test_somebody_elses_items(moto_server: Moto, open_memory: Open):
    """Items of another hand are no values, and those that no key can name are let be (C1, C8)."""
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
    odd = {"pk": pk, "sk": {"S": "odd expiry"}}  # a query over it is too much for moto
    moto_server("DeleteItem", TableName=name_of(url), Key=odd)
    assert memory.list_keys() == ["k", "no value", "text"]
    memory.clear()
    (left,) = moto_server("Scan", TableName=name_of(url))["Items"]
    assert left["sk"] == {"S": "long" * 255}


@pytest.mark.parametrize("owner", ["w", "漢" * 333])
def test_largest_record(open_memory: Open, table_url: str, ledger: Ledger, owner: str):
    """What fits is stored, and a byte more is refused with both sizes, before it is sent (C10).

    In a list with max_items, the oldest make room for it.
    """
    memory = open_memory(table_url, name=owner)
    address = Address(Space("fibonacci:", "workflow", owner), "k")
    expiry = len("expires_ms") + 8 + len("expires_s") + 6
    rest = aws_limits.size(schema.create_item(address, b"", None)) + expiry + len('""')
    room = 409_600 - rest
    memory.exists("k")
    ledger.script.add("PutItem", answer({}))  # moto's own limit is lower
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


def test_remaining_is_at_most_the_ttl():
    """A record that was just written has no more time left than its ttl (C11)."""
    address = Address(Space("", "global", ""), "k")
    for _ in range(1_000):
        left = schema.item_ttl_ms(schema.create_item(address, b"", 60_000), address)
        assert isinstance(left, int)
        assert left <= 60_000


def test_clock(memory: MemoryManager):
    """A record lives by this machine's clock, and lives no shorter than it was told to (C12)."""
    start = time.monotonic()
    memory.set("k", 1, ttl=0.2)
    while memory.exists("k"):
        time.sleep(0.005)
    assert time.monotonic() - start > 0.19
