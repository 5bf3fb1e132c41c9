"""Odd values: each is stored as exactly what strict JSON makes of it, or refused (C7)."""

import array
import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import re
import subprocess
import sys
import types
import typing
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pydantic
import pytest

from fibonacci import MemoryConfig, MemoryManager, SerializationError, Workflow
from fibonacci.plugin._orjson import orjson

NAN, INF = math.nan, math.inf
PLAIN = (dict, list, str, int, float, bool, type(None))


class Text(str):
    """A subclass of str."""


class Whole(int):
    """A subclass of int that says nothing true of itself."""

    def __repr__(self) -> str:
        return "not a number"

    __str__ = __repr__

    def __int__(self) -> int:
        return 0

    __index__ = __int__


class Float64(float):
    """A subclass of float, as numpy.float64 is one."""

    def __repr__(self) -> str:
        return f"Float64({float.__repr__(self)})"

    __str__ = __repr__


class Level(enum.IntEnum):
    HIGH = 3


class Rights(enum.IntFlag):
    READ = 4
    WRITE = 2


class Role(str, enum.Enum):  # noqa: UP042 - the older sort
    USER = "user"


class NewRole(enum.StrEnum):
    USER = "user"


class Colour(enum.Enum):
    RED = "red"


class Mode(enum.Flag):
    FAST = enum.auto()


class Ratio(float, enum.Enum):
    HALF = 0.5


class Pair(tuple, enum.Enum):
    ONE_TWO = (1, 2)


class Day(datetime.date, enum.Enum):
    FIRST = 2025, 1, 1


class Raw(bytes, enum.Enum):
    A = b"a"


Point = collections.namedtuple("Point", "x y")


class TypedPoint(typing.NamedTuple):
    x: int
    y: float


@dataclasses.dataclass
class Data:
    a: int = 1


class Message(pydantic.BaseModel):
    text: str


@attrs.define
class Attrs:
    a: int = 1


@dataclasses.dataclass
class DataDict(dict):
    a: int = 1


class Loud(list):
    def __iter__(self) -> Any:
        return iter(["not what is in it"])

    def __len__(self) -> int:
        return 0


class Caseless(str):
    """Equal where the letters are, whatever their case."""

    def __eq__(self, other: object) -> bool:
        return self.lower() == str(other).lower()

    def __hash__(self) -> int:
        return hash(self.lower())


class Stranger(str):
    """Equal to nothing, not even itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return id(self)


class Liar:
    """Says that it is of another class; mocks, proxies and lazy objects do."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "kind" if name == "__class__" else name)


class Dictlike(dict):
    """A dict with other items()."""

    def __init__(self, items: Any) -> None:
        super().__init__(a=1)
        self._items = items

    def items(self) -> Any:
        return self._items


class Jsonable:
    def __json__(self) -> str:
        return "1"

    def __iter__(self) -> Any:
        return iter((1, 2))


def moved() -> collections.OrderedDict[str, int]:
    """A dict whose order is not that of its insertions."""
    ordered = collections.OrderedDict(a=1, b=2, c=3)
    ordered.move_to_end("a")
    return ordered


def defaulting() -> Any:
    counts = collections.defaultdict(list)
    counts["seen"].append(1)
    return counts


def nested(depth: int, leaf: Any = 1, *, as_dict: bool = False) -> Any:
    """A leaf inside so many containers."""
    for _ in range(depth):
        leaf = {"k": leaf} if as_dict else [leaf]
    return leaf


def shared() -> Any:
    part = {"a": [1]}
    return [part, part, {"again": part, "and": part["a"]}]


def cyclic_list() -> Any:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    return cycle


def cyclic_dict() -> Any:
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    return cycle


def cyclic_pair() -> Any:
    one: dict[str, Any] = {}
    other = [one]
    one["other"] = other
    return one


def tupled(depth: int, leaf: Any = 1) -> Any:
    """A leaf inside so many tuples."""
    for _ in range(depth):
        leaf = (leaf,)
    return leaf


ACCEPTED: dict[str, tuple[Callable[[], Any], Any]] = {
    "none": (lambda: None, None),
    "true": (lambda: True, True),
    "empty text": (lambda: "", ""),
    "empty list": (list, []),
    "empty dict": (dict, {}),
    "empty tuple": (tuple, []),
    "empty containers inside": (lambda: [[], {}, "", (), [[]]], [[], {}, "", [], [[]]]),
    "empty key": (lambda: {"": 1}, {"": 1}),
    "bool is no int": (lambda: [True, 1, False, 0], [True, 1, False, 0]),
    "minus zero": (lambda: -0.0, -0.0),
    "zero": (lambda: [0, 0.0, -0], [0, 0.0, 0]),
    "least float": (lambda: 5e-324, 5e-324),
    "greatest float": (lambda: -1.7976931348623157e308, -1.7976931348623157e308),
    "whole float": (lambda: [1.0, 1e16, 1e22, 1e300], [1.0, 1e16, 1e22, 1e300]),
    "inexact float": (lambda: [0.1 + 0.2, 1 / 3], [0.30000000000000004, 0.3333333333333333]),
    "float beside a huge int": (lambda: [-0.0, 5e-324, 2**64], [-0.0, 5e-324, 2**64]),
    "2**53 + 1": (lambda: 2**53 + 1, 2**53 + 1),
    "2**63": (lambda: [2**63 - 1, 2**63, 2**63 + 1], [2**63 - 1, 2**63, 2**63 + 1]),
    "2**64": (lambda: [2**64 - 1, 2**64, 2**64 + 1], [2**64 - 1, 2**64, 2**64 + 1]),
    "-2**63": (lambda: [-(2**63), -(2**63) - 1], [-(2**63), -(2**63) - 1]),
    "4,300 digits": (lambda: [10**4300 - 1, 1 - 10**4300], [10**4300 - 1, 1 - 10**4300]),
    "huge int as a leaf": (lambda: {"a": [2**200, None]}, {"a": [2**200, None]}),
    "tuple": (lambda: (1, (2, None)), [1, [2, None]]),
    "tuple with 127": (lambda: (127, None, -1), [127, None, -1]),
    "namedtuple": (lambda: Point(1, None), [1, None]),
    "typed namedtuple": (lambda: TypedPoint(1, 2.0), [1, 2.0]),
    "struct sequence": (lambda: sys.version_info[:3], [*sys.version_info[:3]]),
    "tuple enum": (lambda: Pair.ONE_TWO, [1, 2]),
    "OrderedDict": (lambda: collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    "OrderedDict, moved": (moved, {"b": 2, "c": 3, "a": 1}),
    "defaultdict": (defaulting, {"seen": [1]}),
    "Counter": (lambda: collections.Counter("abca"), {"a": 2, "b": 1, "c": 1}),
    "dict that is a dataclass": (lambda: DataDict(5), {}),
    "str subclass": (lambda: [Text("é")], ["é"]),
    "str subclass as key": (lambda: {Text("k"): Text("v")}, {"k": "v"}),
    "str subclass without case": (lambda: [Caseless("A")], ["A"]),
    "int subclass": (lambda: [Whole(7), Whole(2**70)], [7, 2**70]),
    "float subclass": (lambda: [Float64(0.5), Float64(-0.0)], [0.5, -0.0]),
    "IntEnum": (lambda: [Level.HIGH], [3]),
    "IntFlag": (lambda: Rights.READ | Rights.WRITE, 6),
    "str Enum": (lambda: [Role.USER], ["user"]),
    "str Enum as key": (lambda: {Role.USER: Role.USER}, {"user": "user"}),
    "StrEnum": (lambda: NewRole.USER, "user"),
    "float Enum": (lambda: Ratio.HALF, 0.5),
    "signal": (lambda: __import__("signal").SIGTERM, 15),
    "NUL": (lambda: {"\0": "a\0b"}, {"\0": "a\0b"}),
    "control characters": (lambda: "\x01\x1f\x7f\x80\x9f", "\x01\x1f\x7f\x80\x9f"),
    "line separators": (lambda: "\u2028\u2029\ufeff", "\u2028\u2029\ufeff"),
    "quotes and slashes": (lambda: "\"'\\/\b\f\n\r\t", "\"'\\/\b\f\n\r\t"),
    "other planes": (lambda: "😀\U0010ffff\U00010000", "😀\U0010ffff\U00010000"),
    "composed and decomposed": (lambda: ["é", "e\u0301"], ["é", "e\u0301"]),
    "noncharacters": (lambda: "\ufffe\uffff\ufdd0", "\ufffe\uffff\ufdd0"),
    "text that looks like JSON": (lambda: '{"a": null}', '{"a": null}'),
    "text that looks like NaN": (lambda: ["NaN", "null", None], ["NaN", "null", None]),
    "template braces": (lambda: "{{ memory.x }}", "{{ memory.x }}"),
    "keys that look like others": (
        lambda: {"1": 1, "None": 2, "true": 3, "": 4},
        {"1": 1, "None": 2, "true": 3, "": 4},
    ),
    "__class__ as a key": (lambda: {"__class__": "dict"}, {"__class__": "dict"}),
    "127 and None": (lambda: [127, None], [127, None]),
    "-1 and None": (lambda: [-1, None], [-1, None]),
    "255s and None": (lambda: {"a": [255, 65535, None]}, {"a": [255, 65535, None]}),
    "1e308 and None": (lambda: [1e308, None], [1e308, None]),
    "-1e308 and None": (lambda: [-1e308, None, "null"], [-1e308, None, "null"]),
    "DEL and None": (lambda: ["\x7f", None], ["\x7f", None]),
    "ÿ and None": (lambda: ["ÿ", None], ["ÿ", None]),
    "parts that are shared": (
        shared,
        [{"a": [1]}, {"a": [1]}, {"again": {"a": [1]}, "and": [1]}],
    ),
    "one empty list many times": (lambda: [[]] * 3, [[], [], []]),
    "depth 253": (lambda: nested(253), nested(253)),
    "depth 254": (lambda: nested(254), nested(254)),
    "depth 254 of dicts": (lambda: nested(254, as_dict=True), nested(254, as_dict=True)),
    "depth 254 around an empty list": (lambda: nested(254, []), nested(254, [])),
    "depth 254 around an empty list, beside a huge int": (
        lambda: [nested(253, {}), 2**64],
        [nested(253, {}), 2**64],
    ),
    "depth 254 of tuples": (lambda: tupled(254), nested(254)),
    "depth 254, huge int": (lambda: nested(254, 2**64), nested(254, 2**64)),
    "depth 254 of dicts, huge int": (
        lambda: nested(254, 2**64, as_dict=True),
        nested(254, 2**64, as_dict=True),
    ),
    "depth 254, 127 and None": (lambda: nested(253, [127, None]), nested(253, [127, None])),
    "many keys": (
        lambda: {str(number): number for number in range(5_000)},
        {str(number): number for number in range(5_000)},
    ),
    "list subclass that lies": (lambda: Loud([1, 2]), [1, 2]),
    **{
        f"dict subclass whose items() are {items!r}": (
            lambda items=items: [Dictlike(items)],
            [{"a": 1}],
        )
        for items in (5, [], [(1, 2, 3)], ["ab", "c"], [("a", NAN)])
    },
}

CYCLE = "contains a reference cycle, which JSON cannot represent"

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN": (lambda: NAN, "turn is NaN, which JSON cannot represent"),
    "NaN inside": (
        lambda: {"history": [0, {"score": NAN}]},
        "turn.history[1].score is NaN, which JSON cannot represent",
    ),
    "NaN in a tuple": (lambda: (1, (NAN,)), "turn[1][0] is NaN"),
    "negative NaN": (lambda: [-NAN], "turn[0] is NaN"),
    "Infinity": (lambda: [INF], "turn[0] is Infinity"),
    "-Infinity": (lambda: {"a": -INF}, "turn.a is -Infinity"),
    "NaN beside 127 and None": (lambda: [127, None, NAN], "turn[2] is NaN"),
    "Infinity beside None": (lambda: [INF, None], "turn[0] is Infinity"),
    "NaN beside the text null": (lambda: ["null", NAN], "turn[1] is NaN"),
    "one NaN many times": (lambda: [NAN] * 3, "turn[0] is NaN"),
    "NaN beside a huge int": (lambda: [2**64, NAN], "turn[1] is NaN"),
    "NaN at depth 254": (lambda: nested(254, NAN), "is NaN"),
    "NaN of a float subclass": (lambda: {"x": Float64(NAN)}, "turn.x is NaN"),
    "NaN after many Nones": (lambda: [None] * 1000 + [NAN], "turn[1000] is NaN"),
    "4,301 digits": (lambda: {"n": 10**4300}, "turn.n is an int of over 4,300 digits"),
    "-4,301 digits": (lambda: [-(10**4300)], "turn[0] is an int of over 4,300 digits"),
    "a million bits": (lambda: 1 << 1_000_000, "turn is an int of over 4,300 digits"),
    "lone surrogate": (lambda: ["ab\ud800"], "turn[0] has half of a surrogate pair, at position 2"),
    "low surrogate": (lambda: "\udfff", "turn has half of a surrogate pair, at position 0"),
    "two halves": (lambda: "\ud83d\ude00", "turn has half of a surrogate pair, at position 0"),
    "lone surrogate in a key": (
        lambda: {"a": {"b\udc00": 1}},
        "turn.a has a key with half of a surrogate pair, at position 1",
    ),
    "int key": (lambda: {1: 2}, "turn has a key of type int, and JSON keys are text"),
    "int key and its text": (lambda: {1: "a", "1": "b"}, "turn has a key of type int"),
    "None key": (lambda: {"a": {None: 1}}, "turn.a has a key of type NoneType"),
    "bool key": (lambda: [{True: 1}], "turn[0] has a key of type bool"),
    "float key": (lambda: {1.5: 1}, "turn has a key of type float"),
    "tuple key": (lambda: {("a", "b"): 1}, "turn has a key of type tuple"),
    "bytes key": (lambda: {b"a": 1}, "turn has a key of type bytes"),
    "IntEnum key": (lambda: {Level.HIGH: 1}, "turn has a key of type Level"),
    "Enum key": (lambda: {Colour.RED: 1}, "turn has a key of type Colour"),
    "UUID key": (lambda: {uuid.UUID(int=1): 1}, "turn has a key of type UUID"),
    "date key": (lambda: {datetime.date(2025, 1, 1): 1}, "turn has a key of type date"),
    "two keys of one text": (
        lambda: {Stranger("a"): 1, Stranger("a"): 2},
        "turn has two keys that are the same text",
    ),
    "a key and a stranger of its text": (
        lambda: {"a": 1, Stranger("a"): 2},
        "turn has two keys that are the same text",
    ),
    "list that holds itself": (
        cyclic_list,
        f"turn[1] {CYCLE}",
    ),
    "dict that holds itself": (
        cyclic_dict,
        f"turn.me {CYCLE}",
    ),
    "two that hold each other": (cyclic_pair, "turn.other[0] contains a reference cycle"),
    "depth 255 of tuples": (lambda: tupled(255), "is nested deeper than 254 containers"),
    "depth 255 of lists and tuples": (
        lambda: tupled(1, nested(127, tupled(127))),
        "is nested deeper than 254 containers",
    ),
    "depth 255": (lambda: nested(255), "is nested deeper than 254 containers"),
    "depth 255 of dicts": (lambda: nested(255, as_dict=True), "is nested deeper than 254"),
    "depth 255, huge int": (lambda: nested(255, 2**64), "is nested deeper than 254"),
    "depth 10,000": (lambda: nested(10_000), "is nested deeper than 254 containers"),
    "depth 10,000 of dicts": (lambda: nested(10_000, as_dict=True), "is nested deeper than 254"),
    "depth 255 beside a NaN": (lambda: [nested(254), NAN], "is nested deeper than 254"),
    "Enum": (
        lambda: Colour.RED,
        "turn is of type Colour, which JSON cannot represent: use its .value",
    ),
    "Flag": (lambda: [Mode.FAST], "turn[0] is of type Mode"),
    "date Enum": (lambda: Day.FIRST, "turn is of type Day"),
    "bytes Enum": (lambda: Raw.A, "turn is of type Raw"),
    "UUID": (lambda: {"id": uuid.UUID(int=7)}, "turn.id is of type UUID"),
    **(
        {"Fragment": (lambda: [orjson.Fragment(b"not json")], "turn[0] is of type Fragment")}
        if orjson
        else {}
    ),
    "datetime": (
        lambda: {"at": datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)},
        "turn.at is of type datetime, which JSON cannot represent: use its .isoformat()",
    ),
    "date": (lambda: datetime.date(2025, 1, 1), "turn is of type date"),
    "time": (lambda: [datetime.time(1)], "turn[0] is of type time"),
    "timedelta": (lambda: datetime.timedelta(1), "turn is of type timedelta"),
    "Decimal": (lambda: {"price": decimal.Decimal("1.10")}, "turn.price is of type Decimal"),
    "Decimal NaN": (lambda: decimal.Decimal("NaN"), "turn is of type Decimal"),
    "Fraction": (lambda: fractions.Fraction(1, 3), "turn is of type Fraction"),
    "complex": (lambda: [1j], "turn[0] is of type complex"),
    "bytes": (
        lambda: {"raw": b"a"},
        "turn.raw is of type bytes, which JSON cannot represent: encode it as text, in base64",
    ),
    "bytearray": (lambda: bytearray(b"a"), "turn is of type bytearray"),
    "memoryview": (lambda: [memoryview(b"a")], "turn[0] is of type memoryview"),
    "array": (lambda: array.array("d", [1.5]), "turn is of type array"),
    "set": (lambda: {"tags": {1}}, "turn.tags is of type set"),
    "frozenset": (lambda: frozenset(), "turn is of type frozenset"),
    "range": (lambda: range(3), "turn is of type range"),
    "generator": (lambda: (n for n in [1]), "turn is of type generator"),
    "iterator": (lambda: iter([1]), "turn is of type list_iterator"),
    "map": (lambda: map(str, [1]), "turn is of type map"),
    "dict keys": (lambda: [{"a": 1}.keys()], "turn[0] is of type dict_keys"),
    "dict values": (lambda: {"a": 1}.values(), "turn is of type dict_values"),
    "deque": (lambda: collections.deque([1]), "turn is of type deque"),
    "MappingProxyType": (lambda: types.MappingProxyType({}), "turn is of type mappingproxy"),
    "UserDict": (lambda: collections.UserDict(a=1), "turn is of type UserDict"),
    "UserList": (lambda: collections.UserList([1]), "turn is of type UserList"),
    "UserString": (lambda: collections.UserString("a"), "turn is of type UserString"),
    "ChainMap": (lambda: collections.ChainMap({"a": 1}), "turn is of type ChainMap"),
    "SimpleNamespace": (lambda: types.SimpleNamespace(a=1), "turn is of type SimpleNamespace"),
    "dataclass": (
        lambda: [Data()],
        "turn[0] is of type Data, which JSON cannot represent: use dataclasses.asdict() of it",
    ),
    "attrs class": (
        lambda: Attrs(),
        "turn is of type Attrs, which JSON cannot represent: use attrs.asdict() of it",
    ),
    "pydantic model": (
        lambda: Message(text="a"),
        'turn is of type Message, which JSON cannot represent: use its .model_dump(mode="json")',
    ),
    "object": (lambda: object(), "turn is of type object"),
    "object with hooks": (lambda: Jsonable(), "turn is of type Jsonable"),
    "class": (lambda: int, "turn is of type type"),
    "lambda": (lambda: lambda: 1, "turn is of type function"),
    "method": (lambda: [[].append], "turn[0] is of type builtin_function_or_method"),
    "module": (lambda: builtins, "turn is of type module"),
    "exception": (lambda: ValueError("x"), "turn is of type ValueError"),
    "StopIteration": (lambda: [StopIteration], "turn[0] is of type type"),
    "code": (lambda: compile("1", "x", "eval"), "turn is of type code"),
    "Ellipsis": (lambda: [...], "turn[0] is of type ellipsis"),
    "NotImplemented": (lambda: NotImplemented, "turn is of type NotImplementedType"),
    "pattern": (lambda: re.compile("a"), "turn is of type Pattern"),
    "path": (lambda: pathlib.PurePosixPath("/a"), "turn is of type PurePosixPath"),
    "generic alias": (lambda: list[int], "turn is of type GenericAlias"),
    **{
        f"an object that says it is a {kind.__name__}": (
            lambda kind=kind: [Liar(kind)],
            "turn[0] is of type Liar, which JSON cannot represent",
        )
        for kind in (str, int, float, bool, dict, list, tuple, type(None))
    },
}


class Series:
    """A class with a method ``tolist``, as arrays and scalars of numpy and pandas have."""

    def tolist(self) -> list[int]:
        return []

    def __len__(self) -> int:
        return 0

    keys = tolist


class DataFrame(Series):
    """A class with the name of pandas' table."""


async def later() -> None:
    """A coroutine that was not awaited."""


def unawaited() -> Any:
    """A coroutine that nobody will await."""
    coroutine = later()
    coroutine.close()
    return coroutine


ADVICE: dict[str, tuple[Any, str]] = {
    "date Enum": (Day.FIRST, "use its .value"),
    "datetime": (datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC), "use its .isoformat()"),
    "timedelta": (datetime.timedelta(1), "use its .total_seconds()"),
    "UUID": (uuid.UUID(int=7), "use str() of it"),
    "Decimal": (decimal.Decimal("1.10"), "use str() of it"),
    "path": (pathlib.Path("/a"), "use str() of it"),
    "set": ({1}, "make it a sorted list"),
    "memoryview": (memoryview(b"a"), "encode it as text, in base64 for instance"),
    "array": (array.array("d"), "use its .tolist()"),
    "Series": (Series(), "use its .tolist()"),
    "DataFrame": (DataFrame(), 'use its .to_dict("records")'),
    "coroutine": (unawaited(), "await it"),
    "MappingProxyType": (types.MappingProxyType({}), "use dict() of it"),
    "ChainMap": (collections.ChainMap({}), "use dict() of it"),
    "deque": (collections.deque(), "use list() of it"),
    "dict keys": ({}.keys(), "use list() of it"),
    "generator": ((n for n in [1]), "use list() of it"),
    "key": ({1: 2}, "use str() of it"),
}


@pytest.mark.parametrize(("value", "advice"), ADVICE.values(), ids=ADVICE)
def test_error_of_a_value_has_a_hint(memory: MemoryManager, value: Any, advice: str) -> None:
    """C7: the error of a value that JSON cannot represent says how to convert it."""
    with pytest.raises(SerializationError) as caught:
        memory.set("k", {"it": value})
    assert str(caught.value).endswith(f": {advice}")


@pytest.mark.parametrize("value", [object(), int, print, ...], ids=lambda one: type(one).__name__)
def test_error_of_an_unknown_type_has_no_hint(memory: MemoryManager, value: Any) -> None:
    """C7: the error of a value of an unknown type has no hint."""
    with pytest.raises(SerializationError, match=r"which JSON cannot represent$"):
        memory.set("k", value)


@pytest.fixture
def memory():
    """A memory that holds a value already."""
    memory = Workflow("odd values", MemoryConfig("memory", "memory://odd-values")).memory
    memory.set("turn", {"old": [1]})
    yield memory
    memory.clear()
    memory.close()


def check_plain(value: Any) -> None:
    """The value is of JSON's own types, all through."""
    left = [value]
    while left:
        part = left.pop()
        assert type(part) in PLAIN
        if type(part) is dict:
            assert {type(key) for key in part} <= {str}
            left += part.values()
        elif type(part) is list:
            left += part


def test_table_has_75_odd_values():
    """The table has at least 75 odd values."""
    assert len(ACCEPTED) + len(REFUSED) >= 75


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_value_is_read_as_plain_json(memory, name: str):
    """C7: an accepted value is read exactly, in JSON's own types, with -0.0 and order of keys."""
    make, expected = ACCEPTED[name]
    memory.set("turn", make())
    got = memory.get("turn")
    check_plain(got)
    assert repr(got) == repr(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_value_has_its_path_in_the_error(memory, name: str):
    """C7: a refused value raises SerializationError with its path; the old value stays."""
    make, message = REFUSED[name]
    with pytest.raises(SerializationError) as caught:
        memory.set("turn", make())
    assert message in str(caught.value)
    assert str(caught.value).startswith("turn")
    assert memory.get("turn") == {"old": [1]}


@pytest.mark.parametrize(
    "value",
    [
        "inner = []; value = (inner,); inner.append(value)",
        "value = {}; value['me'] = ({}, (value,))",
        "value = 1\nfor _ in range(10_000): value = (value,)",
        "value = 1\nfor n in range(10_000): value = [value] if n % 2 else (value,)",
        "value = 1\nfor n in range(10_000): value = {'k': value} if n % 2 else (value,)",
    ],
    ids=["cycle", "cycle of dicts", "tuples", "tuples and lists", "tuples and dicts"],
)
def test_endless_tuples_are_refused(value: str):
    """C7: cyclic tuples, and those 10,000 deep, are refused; in a process that may crash."""
    program = f"""
from fibonacci import SerializationError, Workflow
memory = Workflow("w").memory
{value}
try:
    memory.set("turn", value)
except SerializationError as error:
    print("refused:", str(error)[-40:])
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("refused:")


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory, odd: memory.set("turn", odd),
        lambda memory, odd: memory.add("other", odd),
        lambda memory, odd: memory.set_many({"other": 1, "turn": odd}),
        lambda memory, odd: memory.update("turn", lambda old: odd),
        lambda memory, odd: memory.update("other", lambda old: 1, default=odd),
        lambda memory, odd: memory.append("other", 1, odd),
    ],
    ids=["set", "add", "set_many", "update", "update default", "append"],
)
@pytest.mark.parametrize("odd", [NAN, b"bytes", {1: 2}, "\ud800"], ids=repr)
def test_every_write_refuses_the_same_values(memory, operation, odd: Any):
    """C7: all operations that write refuse the same values, and write nothing."""
    with pytest.raises(SerializationError):
        operation(memory, odd)
    assert memory.list_keys() == ["turn"]
    assert memory.get("turn") == {"old": [1]}


def test_path_of_an_appended_item_has_its_list_index(memory):
    """append() names a refused item by the index that it would have in the list."""
    memory.set("turns", [0, 1])
    with pytest.raises(SerializationError, match=r"^turns\[3\]\.score is NaN"):
        memory.append("turns", 2, {"score": NAN})


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("plain", "turn.plain is NaN"),
        ("é", "turn.é is NaN"),
        ("two words", "turn['two words'] is NaN"),
        ("0", "turn['0'] is NaN"),
        ("a.b", "turn['a.b'] is NaN"),
        ("", "turn[''] is NaN"),
        ("x" * 40, f"turn.{'x' * 40} is NaN"),
        ("x" * 41, f"turn['{'x' * 39}…'] is NaN"),
    ],
)
def test_path_has_dict_keys_of_at_most_40_characters(memory, key: str, path: str):
    """C23: the path has keys that are no identifiers in brackets, and shortens long ones."""
    with pytest.raises(SerializationError) as caught:
        memory.set("turn", {key: NAN})
    assert str(caught.value).replace("turn." + "x" * 39 + "…", f"turn['{'x' * 39}…']") == (
        f"{path}, which JSON cannot represent"
    )


def test_path_has_at_most_40_characters_of_the_record_key(memory):
    """The path starts with the record's key, at most 40 characters of it."""
    with pytest.raises(SerializationError, match=r"^k{39}… is NaN"):
        memory.set("k" * 1000, NAN)


def test_stored_value_is_a_copy(memory):
    """C7: changing a value after set(), or after get(), does not change what is stored."""
    value = {"turns": [1]}
    memory.set("turn", value)
    value["turns"].append(2)
    memory.get("turn")["turns"].append(3)
    assert memory.get("turn") == {"turns": [1]}


def test_default_is_returned_as_it_is(memory):
    """get() returns the very object that was passed as default."""
    default = object()
    assert memory.get("absent", default=default) is default


def test_none_is_a_value(memory):
    """C9: a stored None is read, listed and counted."""
    memory.set("turn", None)
    assert memory.get("turn", default=5) is None
    assert memory.exists("turn")
    assert memory.add("turn", 1) is False


def test_lowered_int_digits_limit_raises_no_stray_error(memory):
    """SerializationError is raised if a program has lowered Python's limit of int digits."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(SerializationError):
            memory.set("turn", 10**1000)
    finally:
        sys.set_int_max_str_digits(limit)
    assert memory.get("turn") == {"old": [1]}


# The stack may end where the operation was called and has not yet begun.
@pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:Exception ignored in. <coroutine:pytest.PytestUnraisableExceptionWarning",
)
def test_value_near_the_recursion_limit_raises_no_stray_error(memory):
    """A value near the recursion limit is stored, or raises SerializationError or RecursionError.

    The old value stays if it raises.
    """
    value = nested(200, 2**64)

    def dive(levels: int) -> None:
        if levels:
            dive(levels - 1)
        else:
            memory.set("turn", value)

    for levels in range(sys.getrecursionlimit() - 500, sys.getrecursionlimit(), 50):
        memory.set("turn", {"old": [1]})
        expected = {"old": [1]}
        with suppress(SerializationError, RecursionError):
            dive(levels)
            expected = value
        assert memory.get("turn") == expected
