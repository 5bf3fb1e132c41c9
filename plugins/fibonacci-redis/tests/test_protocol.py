"""Arguments packed by hiredis: only bytes and str, as a signal during a number crashes it."""

import json
import subprocess
import sys
from typing import Any

import pytest
from services.standalone import Redis

import fibonacci_redis.protocol
from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Space
from fibonacci_redis.protocol import pack

SPACE = Space("t:packing:", "workflow", "w")
KEY = Address(SPACE, "k")
LONG = b"x" * 9_000

INTERRUPTED = """
import json, random, signal, sys
from fibonacci import MemoryConfig, Workflow

memory = Workflow("w", MemoryConfig("redis", sys.argv[1], key_prefix="t:packing:")).memory
verbs = {
    "touch": lambda: memory.touch("k", 60),
    "append": lambda: memory.append("k", 1, max_items=3),
    "set with ttl": lambda: memory.set("n", 1, ttl=60),
    "list": lambda: memory.list_keys(),
}
memory.set("k", [])
verb, dice, hits = verbs[sys.argv[2]], random.Random(3), 0
sys.unraisablehook = lambda *_: None
signal.signal(signal.SIGALRM, signal.default_int_handler)

# In a function: in CPython 3.13 a loop's jump back may lie outside the `try` around it.
def call_until_interrupted():
    for _ in range(100):  # an exception in a finalizer is dropped: start again
        verb()

while hits < 400:
    try:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(2e-6, 4e-4))
        call_until_interrupted()
    except KeyboardInterrupt:
        hits += 1
print(json.dumps(hits))
"""


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments that hiredis packs."""
    arguments: list[Any] = []
    inner: Any = vars(fibonacci_redis.protocol)["pack_command"]

    def recording_pack(command: Any) -> bytes:
        arguments.extend(command)
        return bytes(inner(command))

    monkeypatch.setattr(fibonacci_redis.protocol, "pack_command", recording_pack)
    monkeypatch.setattr("hiredis.pack_command", recording_pack)  # redis-py's way to it
    return arguments


def test_hiredis_packs_no_number(open_client: Any, valkey_server: Redis, packed: list[Any]) -> None:
    """No verb passes a number to hiredis, nor does redis-py while it connects."""
    client = open_client(valkey_server.url.replace("/0", "/1"))
    client("write_many", [(KEY, b"1"), (Address(SPACE, "two"), b"2")], 60_000)
    for ttl_ms in (None, 60_000):
        for data in (b"1", LONG):
            client("write", KEY, data, ttl_ms)
            client("write", KEY, data, ttl_ms)
            client("compare_and_set", Address(SPACE, "new"), ABSENT, data, ttl_ms)
            client("compare_and_set", Address(SPACE, "new"), data, b"3", ttl_ms)
            client("compare_and_set", Address(SPACE, "new"), b"3", data, KEEP_TTL)
            client("remove", Address(SPACE, "new"))
        client("touch", KEY, ttl_ms)
        client("write_many", [(KEY, b"1")], ttl_ms)
    for number in range(100):
        client("write", Address(SPACE, f"late{number}"), b"1", 1)
    assert client.keys(SPACE, limit=1, prefix="t") == ["two"]
    client("read_many", [KEY, Address(SPACE, "two")])
    client("remaining_ttl_ms", KEY)
    client("remove_many", [KEY])
    client.clear(SPACE)
    assert len(packed) > 100
    assert {type(argument) for argument in packed} <= {bytes, str}


def test_pack_refuses_a_number() -> None:
    """pack() raises TypeError for a number."""
    command: Any = (b"EXPIRE", b"k", 60)
    with pytest.raises(TypeError, match="bytes or str"):
        pack(command)


@pytest.mark.parametrize(
    "verb",
    ["touch", *(pytest.param(verb, marks=pytest.mark.long) for verb in ("append", "set with ttl"))],
)
def test_interrupted_packing_does_not_crash(verb: str, valkey_server: Redis) -> None:
    """A process whose calls are interrupted while they pack commands does not crash."""
    program = [sys.executable, "-W", "ignore", "-c", INTERRUPTED, valkey_server.url, verb]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == 400
