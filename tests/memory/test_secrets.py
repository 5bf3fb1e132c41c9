"""Secrets: no value, password or key shows in an error, a repr or a log (C23)."""

import logging
import traceback
from typing import Any

import pytest

from fibonacci import (
    CorruptRecordError,
    FibonacciError,
    FunctionNode,
    MemoryConfig,
    SerializationError,
    ValueTooLargeError,
    Workflow,
    WrongTypeError,
    generate_key,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Space

CANARY = "canary-3f9a"

untyped: Any = MemoryConfig
"""For what a type checker would refuse."""


class Text(str):
    """A value whose class is odd enough for the exact way."""


class Loose:
    """A value that says too much of itself."""

    def __repr__(self) -> str:
        return CANARY

    __str__ = __repr__


def full_text(error: BaseException) -> str:
    """Return all that a handler, a traceback or a log could print of an error and its causes."""
    texts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(texts)


@pytest.fixture
def memory():
    """A memory that holds a secret already."""
    memory = Workflow("w", MemoryConfig("memory", "memory://secrets")).memory
    memory.set("k", {"secret": CANARY})
    yield memory
    memory.clear()


@pytest.mark.parametrize(
    "value",
    [
        [CANARY, float("nan")],
        {"a": CANARY, "b": {1}},
        {"a": CANARY, 1: 2},
        {(CANARY,): 1},
        {CANARY.encode(): 1},
        f"{CANARY}\ud800",
        [Text(CANARY), "\udfff" + CANARY],
        {f"{'x' * 40}{CANARY}": float("inf")},
        {f"{CANARY}\ud800": 1},
        CANARY.encode(),
        [Loose()],
        {Loose(): 1},
        ValueError(CANARY),
        {"a": {CANARY, "b"}},
        10**5_000,
    ],
    ids=lambda value: ascii(type(value).__name__),
)
def test_refused_value_is_not_quoted(memory, value: Any):
    """C23: the error of a refused value has type names and short dict keys in it, no value."""
    with pytest.raises(SerializationError) as caught:
        memory.set("k", value)
    assert CANARY not in full_text(caught.value)
    assert memory.get("k") == {"secret": CANARY}


def test_too_large_value_is_not_quoted(memory):
    """C23: the error of a value that is too large has its size in it, no value."""
    with pytest.raises(ValueTooLargeError) as caught:
        memory.set("k", CANARY * 2**21)
    assert CANARY not in full_text(caught.value)


def test_value_of_a_wrong_type_is_not_quoted(memory):
    """C23: the error of append() and increment() has the type of the value in it, no value."""
    for operation in (lambda: memory.append("k", CANARY), lambda: memory.increment("k")):
        with pytest.raises(WrongTypeError) as caught:
            operation()
        assert CANARY not in full_text(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        f'["{CANARY}"',
        f' ["{CANARY}"',
        f'"{CANARY}\x01"',
        f' "{CANARY}\x01"',
        f' ["{CANARY}", NaN]',
        f' ["{CANARY}", 1e999]',
        CANARY,
        f" {CANARY}",
    ],
)
@pytest.mark.parametrize("end", [b"", b"\xff"], ids=["", "not UTF-8"])
def test_corrupt_record_is_not_quoted(data: str, end: bytes):
    """C23: neither the error of a corrupt record nor one that is chained to it quotes it."""
    store = LocalStore()
    address = Address(Space("fibonacci:", "workflow", "w"), "k")
    store.write(address, data.encode() + end, None, deadline=0)
    with pytest.raises(CorruptRecordError) as caught:
        Workflow("w", MemoryConfig(store)).memory.get("k")
    assert CANARY not in full_text(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda memory: memory.set(CANARY, 1, scope="user"),
        lambda memory: memory.get("k", user_id=CANARY),
        lambda memory: memory.get("k", scope="user", user_id=[CANARY]),
        lambda memory: memory.for_user("u").get("k", user_id=CANARY),
        lambda memory: memory.get([CANARY]),
        lambda memory: memory.get_many(CANARY),
        lambda memory: memory.set_many(CANARY),
        lambda memory: memory.set("k", 1, ttl=CANARY),
        lambda memory: memory.list_keys(pattern=[CANARY]),
        lambda memory: memory.update("k", CANARY),
        lambda memory: memory.increment("k", CANARY),
        lambda memory: memory.append("k", 1, max_items=CANARY),
        lambda memory: memory.get(f"{CANARY}\0"),
        lambda memory: memory.get(f"{CANARY}\ud800"),
        lambda memory: memory.get(CANARY * 200),
    ],
)
def test_argument_of_a_wrong_type_is_not_quoted(memory, ask):
    """C23: the error of an argument of a wrong type has its type in it, no value."""
    with pytest.raises(FibonacciError) as caught:
        ask(memory)
    assert CANARY not in full_text(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        *("backend", "connection_url", "default_ttl", "encryption_key", "encrypt_values"),
        *("organization_id", "timeout", "options", "encryption", "plaintext_reads"),
    ],
)
def test_setting_of_a_wrong_type_is_not_quoted(field: str):
    """C23: the error of a wrong setting has its type in it: it may be a secret."""
    with pytest.raises(FibonacciError) as caught:
        untyped(**{field: [[CANARY]]})
    assert CANARY not in full_text(caught.value)


def test_reprs_show_only_names(memory):
    """C23: repr() of a workflow, a memory and a view shows no secret, and can be logged."""
    config = MemoryConfig(
        "memory", "memory://secrets", encryption_key=generate_key(), encrypt_values=True
    )
    workflow = Workflow("w", config)
    assert repr(workflow) == "<Workflow 'w'>"
    assert repr(workflow.memory) == "<MemoryManager of workflow 'w'>"
    assert repr(workflow.memory.for_user("ann")) == "<MemoryView of user 'ann'>"
    assert repr(workflow.memory.for_organization("o")) == "<MemoryView of organization 'o'>"


@pytest.mark.parametrize("kind", ["MemoryManager", "MemoryView", "RunMemory"])
def test_objects_in_the_frames_of_an_error_have_a_repr(kind: str):
    """C23: objects in the frames of an error have a repr, which names what they are."""
    workflow = Workflow("w", MemoryConfig("memory", "memory://frames"))
    shown: list[str] = []

    def fail(memory) -> None:
        memory.set("n", CANARY)
        with pytest.raises(WrongTypeError) as caught:
            memory.increment("n")
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        objects = [frame.f_locals["self"] for frame in frames if "self" in frame.f_locals]
        shown.extend(repr(obj) for obj in objects if type(obj).__name__ == kind)

    workflow.add_node(FunctionNode("n", lambda ctx: fail(ctx.memory)))
    workflow.execute(user_id="ann")
    fail(workflow.memory)
    fail(workflow.memory.for_user("ann"))
    assert len(shown) >= 2
    assert all(text.startswith(f"<{kind} of ") and CANARY not in text for text in shown)
    workflow.memory.clear()
    workflow.memory.for_user("ann").clear()


def test_logs_show_no_value(memory, caplog):
    """C23: logs have no value, record key or user id in them, even at DEBUG."""
    caplog.set_level(logging.DEBUG)
    memory.set(f"key-{CANARY}", CANARY, scope="user", user_id=f"user-{CANARY}")
    memory.append("list", CANARY)
    with pytest.raises(FibonacciError):
        memory.append("k", 1)
    assert CANARY not in caplog.text
    memory.for_user(f"user-{CANARY}").clear()


def shown(error: BaseException) -> str:
    """Return what a report with local variables shows of our packages' frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts, rest = [], [report]
    while rest:
        one = rest.pop()
        ours = [frame for frame in one.stack if "test_secrets" not in frame.filename]
        texts += [str(one), *(repr(frame.locals) for frame in ours)]
        rest += [other for other in (one.__cause__, one.__context__) if other]
    return "\n".join(texts)


def endless() -> dict[str, Any]:
    """Options that contain a reference cycle."""
    options: dict[str, Any] = {"password": CANARY}
    options["more"] = options
    return options


@pytest.mark.parametrize(
    "fail",
    [
        *(
            lambda url=url: Workflow("w", MemoryConfig("memory", url.format(CANARY)))
            for url in (
                "redis://:{} @host",
                "redis://:{}#@host",
                "redis://:{}%@host",
                ":{}@host",
                "redis://:{}/@host",
                "redis://:{}@@host",
                "redis://:{}@ho]st",
                "redis://:{}@host:99999",
                "redis://:{}@host?a=1&a=2",
                "redis://:{}%ff@host",
                "redis://:{}%00@host",
                "redis://:{}@host",
            )
        ),
        lambda: Workflow("w", MemoryConfig("nowhere", f"nowhere://:{CANARY}@host")),
        lambda: Workflow("w", MemoryConfig("memory", f"memory://host?password={CANARY}")),
        lambda: Workflow("w", MemoryConfig("memory", options={"password": CANARY})),
        lambda: Workflow("w", MemoryConfig("sqlite", "sqlite:///x", options=endless())),
        lambda: MemoryConfig("memory", f"redis://:{CANARY}@host", timeout=0),
        lambda: MemoryConfig("", f"redis://:{CANARY}@host"),
        lambda: MemoryConfig("memory", encryption_key=[CANARY, ""]),
        lambda: untyped("memory", encryption_key=CANARY, unknown=1),
        lambda: MemoryConfig(LocalStore(), f"redis://:{CANARY}@host"),
        *(
            lambda name=name: MemoryConfig.from_env(
                {
                    "FIBONACCI_MEMORY_CONNECTION_URL": f"redis://:{CANARY}@host",
                    "FIBONACCI_MEMORY_ENCRYPTION_KEY": CANARY,
                    name: "x",
                }
            )
            for name in ("FIBONACCI_MEMORY_BAKEND", "FIBONACCI_MEMORY_TIMEOUT")
        ),
        lambda: Workflow(
            "w",
            MemoryConfig(
                encryption_key=CANARY * 4, encrypt_values=True, encryption="nowhere-installed"
            ),
        ),
    ],
)
def test_no_frame_holds_a_secret(fail):
    """C23: the variables in the frames of an error have no password and no key in them."""
    with pytest.raises((FibonacciError, TypeError)) as caught:
        fail()
    assert CANARY not in shown(caught.value)
    assert CANARY not in full_text(caught.value)
