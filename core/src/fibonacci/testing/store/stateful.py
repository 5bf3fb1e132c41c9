"""Random histories of calls: the memory is compared with a dict, call by call."""

import math
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from fibonacci import NO_EXPIRY, MemoryManager, WrongTypeError
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory

PLACES: list[dict[str, Any]] = [
    {},
    {"scope": "organization"},
    {"scope": "global"},
    {"scope": "user", "user_id": "u"},
    {"scope": "user", "user_id": "u:a"},
]

places = st.sampled_from(PLACES)
keys = st.sampled_from(["a", "A", "a:b", "b", "a%", "é", "e\u0301", "😀"])
some_keys = st.lists(keys, max_size=5)
lives = st.sampled_from([None, 60, 3600.5, NO_EXPIRY])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
amounts = st.integers(-10, 10) | st.sampled_from([0.5, 2**64])


class MemoryMachine(RuleBasedStateMachine):
    """Every verb, in all scopes, against a dict of the live records."""

    memory: MemoryManager
    contract: ContractFixtures

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[tuple[Any, ...], tuple[Any, bool]] = {}
        self.expired = 0

    def found(self, place: dict[str, Any], key: str, default: Any = None) -> Any:
        return self.records.get(_at(place, key), (default, False))[0]

    def put(self, place: dict[str, Any], key: str, value: Any, life: Any) -> None:
        self.records[_at(place, key)] = (value, life not in (None, NO_EXPIRY))

    def keep(self, place: dict[str, Any], key: str, value: Any, life: Any) -> None:
        """Put, with the expiry that was there."""
        there = self.records.get(_at(place, key))
        self.put(place, key, value, life)
        if there:
            self.records[_at(place, key)] = (value, there[1])

    def look(self, place: dict[str, Any], key: str) -> None:
        """Compare the record's value, and whether it expires."""
        left = self.memory.ttl(key, **place)
        there = self.records.get(_at(place, key))
        if there is None:
            assert left is None
        elif there[1]:
            assert left is not None
            assert 0 < left <= 3600.5
        else:
            assert left == math.inf
        assert _same(self.memory.get(key, default="-", **place), self.found(place, key, "-"))

    def keys_in(self, place: dict[str, Any]) -> list[str]:
        return sorted(key for *where, key in self.records if where == list(place.values()))

    @rule(place=places, key=keys, value=values, life=lives)
    def set(self, place: dict[str, Any], key: str, value: Any, life: Any) -> None:
        assert self.memory.set(key, value, ttl=life, **place) is True
        self.put(place, key, value, life)
        self.look(place, key)

    @rule(place=places, key=keys)
    def get(self, place: dict[str, Any], key: str) -> None:
        assert _same(self.memory.get(key, default="-", **place), self.found(place, key, "-"))

    @rule(place=places, key=keys)
    def delete(self, place: dict[str, Any], key: str) -> None:
        there = self.records.pop(_at(place, key), None)
        assert self.memory.delete(key, **place) is (there is not None)

    @rule(place=places, key=keys)
    def exists(self, place: dict[str, Any], key: str) -> None:
        assert self.memory.exists(key, **place) is (_at(place, key) in self.records)

    @rule(place=places)
    def clear(self, place: dict[str, Any]) -> None:
        assert self.memory.clear(**place) is True
        for key in self.keys_in(place):
            del self.records[_at(place, key)]

    @rule(place=places, pattern=st.sampled_from([None, "*", "a*", "[!a]", "a%*", "x"]))
    def list_keys(self, place: dict[str, Any], pattern: str | None) -> None:
        expected = [k for k in self.keys_in(place) if pattern is None or fnmatchcase(k, pattern)]
        assert self.memory.list_keys(pattern=pattern, **place) == expected
        assert list(self.memory.iter_keys(pattern, **place)) == expected

    @rule(place=places, key=keys, value=values, life=lives)
    def add(self, place: dict[str, Any], key: str, value: Any, life: Any) -> None:
        free = _at(place, key) not in self.records
        assert self.memory.add(key, value, ttl=life, **place) is free
        if free:
            self.put(place, key, value, life)
        self.look(place, key)

    @rule(place=places, key=keys, life=lives)
    def update(self, place: dict[str, Any], key: str, life: Any) -> None:
        value = [self.found(place, key)] if key != "b" else None
        assert _same(self.memory.update(key, lambda _: value, ttl=life, **place), value)
        self.keep(place, key, value, life)
        self.look(place, key)

    @rule(place=places, key=keys, items=st.lists(values, min_size=1, max_size=3), life=lives)
    def append(self, place: dict[str, Any], key: str, items: list[Any], life: Any) -> None:
        there = self.found(place, key, [])
        try:
            length = self.memory.append(key, *items, max_items=4, ttl=life, **place)
        except WrongTypeError:
            assert not isinstance(there, list)
            return
        turns = [*there, *items][-4:]
        assert length == len(turns)
        self.keep(place, key, turns, life)
        self.look(place, key)

    @rule(place=places, key=keys, amount=amounts, life=lives)
    def increment(self, place: dict[str, Any], key: str, amount: float, life: Any) -> None:
        there = self.found(place, key, 0)
        number = isinstance(there, int | float) and not isinstance(there, bool)
        if number and not math.isfinite(there + amount):
            return
        try:
            new = self.memory.increment(key, amount, ttl=life, **place)
        except WrongTypeError:
            assert not number
            return
        assert _same(new, there + amount)
        self.keep(place, key, new, life)
        self.look(place, key)

    @rule(place=places, requested=some_keys)
    def get_many(self, place: dict[str, Any], requested: list[str]) -> None:
        live = [key for key in dict.fromkeys(requested) if _at(place, key) in self.records]
        assert _same(
            list(self.memory.get_many(requested, **place).items()),
            [(key, self.found(place, key)) for key in live],
        )

    @rule(place=places, mapping=st.dictionaries(keys, values, max_size=4), life=lives)
    def set_many(self, place: dict[str, Any], mapping: dict[str, Any], life: Any) -> None:
        assert self.memory.set_many(mapping, ttl=life, **place) is True
        for key, value in mapping.items():
            self.put(place, key, value, life)

    @rule(place=places, requested=some_keys)
    def delete_many(self, place: dict[str, Any], requested: list[str]) -> None:
        gone = [self.records.pop(_at(place, key), None) for key in requested]
        assert self.memory.delete_many(requested, **place) == sum(
            value is not None for value in gone
        )

    @rule(place=places, key=keys)
    def ttl(self, place: dict[str, Any], key: str) -> None:
        self.look(place, key)

    @rule(place=places, key=keys, life=st.sampled_from([60, NO_EXPIRY]))
    def touch(self, place: dict[str, Any], key: str, life: Any) -> None:
        there = _at(place, key) in self.records
        assert self.memory.touch(key, life, **place) is there
        if there:
            self.put(place, key, self.found(place, key), life)
        self.look(place, key)

    @precondition(lambda self: self.expired < 2)
    @rule(place=places, expiring=st.lists(keys, min_size=1, max_size=4), value=values)
    def expire(self, place: dict[str, Any], expiring: list[str], value: Any) -> None:
        for key in expiring:
            self.memory.set(key, value, ttl=self.contract.short_ttl, **place)
            self.records.pop(_at(place, key), None)
        self.contract.wait_for_expiry()
        self.expired += 1


class HistoryTests(ContractFixtures):
    """C7, C12 to C16, all at once."""

    def test_any_history(self, memory_factory: MemoryFactory) -> None:
        """After any history of calls the memory holds what a dict would hold (C7, C12, C14)."""

        class Bound(MemoryMachine):
            contract = self

            def __init__(self) -> None:
                super().__init__()
                number = len(histories)
                histories.append(number)
                self.memory = memory_factory.new_memory(prefix=f"{number}:")

        histories: list[int] = []
        run_state_machine_as_test(
            Bound,
            settings=settings(
                max_examples=self.max_examples,
                stateful_step_count=40,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
                print_blob=False,
                phases=[Phase.generate, *([Phase.shrink] if self.shrink_failures else [])],
            ),
        )


def _at(place: dict[str, Any], key: str) -> tuple[str, ...]:
    return (*place.values(), key)


def _same(found: Any, expected: Any) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(found) == repr(expected)
