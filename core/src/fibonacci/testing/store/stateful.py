"""Random histories of calls: the memory is compared with a dict, call by call."""

import math
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from fibonacci import NO_EXPIRY, MemoryManager, WrongTypeError
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory

SCOPES: list[dict[str, Any]] = [
    {},
    {"scope": "organization"},
    {"scope": "global"},
    {"scope": "user", "user_id": "u"},
    {"scope": "user", "user_id": "u:a"},
]

scopes = st.sampled_from(SCOPES)
keys = st.sampled_from(["a", "A", "a:b", "b", "a%", "é", "e\u0301", "😀"])
some_keys = st.lists(keys, max_size=5)
ttls = st.sampled_from([None, 60, 3600.5, NO_EXPIRY])
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
    """Every method, in all scopes, against a dict of the live records."""

    memory: MemoryManager
    contract: ContractFixtures

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[tuple[Any, ...], tuple[Any, bool]] = {}
        self.expired = 0

    def found(self, scope: dict[str, Any], key: str, default: Any = None) -> Any:
        return self.records.get(_at(scope, key), (default, False))[0]

    def put(self, scope: dict[str, Any], key: str, value: Any, ttl: Any) -> None:
        self.records[_at(scope, key)] = (value, ttl not in (None, NO_EXPIRY))

    def put_keeping_expiry(self, scope: dict[str, Any], key: str, value: Any, ttl: Any) -> None:
        """Put, with the expiry that was there."""
        there = self.records.get(_at(scope, key))
        self.put(scope, key, value, ttl)
        if there:
            self.records[_at(scope, key)] = (value, there[1])

    def check(self, scope: dict[str, Any], key: str) -> None:
        """Compare the record's value, and whether it expires."""
        left = self.memory.ttl(key, **scope)
        there = self.records.get(_at(scope, key))
        if there is None:
            assert left is None
        elif there[1]:
            assert left is not None
            assert 0 < left <= 3600.5
        else:
            assert left == math.inf
        assert _same(self.memory.get(key, default="-", **scope), self.found(scope, key, "-"))

    def keys_in(self, scope: dict[str, Any]) -> list[str]:
        return sorted(key for *where, key in self.records if where == list(scope.values()))

    @rule(scope=scopes, key=keys, value=values, ttl=ttls)
    def set(self, scope: dict[str, Any], key: str, value: Any, ttl: Any) -> None:
        assert self.memory.set(key, value, ttl=ttl, **scope) is True
        self.put(scope, key, value, ttl)
        self.check(scope, key)

    @rule(scope=scopes, key=keys)
    def get(self, scope: dict[str, Any], key: str) -> None:
        assert _same(self.memory.get(key, default="-", **scope), self.found(scope, key, "-"))

    @rule(scope=scopes, key=keys)
    def delete(self, scope: dict[str, Any], key: str) -> None:
        there = self.records.pop(_at(scope, key), None)
        assert self.memory.delete(key, **scope) is (there is not None)

    @rule(scope=scopes, key=keys)
    def exists(self, scope: dict[str, Any], key: str) -> None:
        assert self.memory.exists(key, **scope) is (_at(scope, key) in self.records)

    @rule(scope=scopes)
    def clear(self, scope: dict[str, Any]) -> None:
        assert self.memory.clear(**scope) is True
        for key in self.keys_in(scope):
            del self.records[_at(scope, key)]

    @rule(scope=scopes, pattern=st.sampled_from([None, "*", "a*", "[!a]", "a%*", "x"]))
    def list_keys(self, scope: dict[str, Any], pattern: str | None) -> None:
        expected = [k for k in self.keys_in(scope) if pattern is None or fnmatchcase(k, pattern)]
        assert self.memory.list_keys(pattern=pattern, **scope) == expected
        assert list(self.memory.iter_keys(pattern, **scope)) == expected

    @rule(scope=scopes, key=keys, value=values, ttl=ttls)
    def add(self, scope: dict[str, Any], key: str, value: Any, ttl: Any) -> None:
        free = _at(scope, key) not in self.records
        assert self.memory.add(key, value, ttl=ttl, **scope) is free
        if free:
            self.put(scope, key, value, ttl)
        self.check(scope, key)

    @rule(scope=scopes, key=keys, ttl=ttls)
    def update(self, scope: dict[str, Any], key: str, ttl: Any) -> None:
        value = [self.found(scope, key)] if key != "b" else None
        assert _same(self.memory.update(key, lambda _: value, ttl=ttl, **scope), value)
        self.put_keeping_expiry(scope, key, value, ttl)
        self.check(scope, key)

    @rule(scope=scopes, key=keys, items=st.lists(values, min_size=1, max_size=3), ttl=ttls)
    def append(self, scope: dict[str, Any], key: str, items: list[Any], ttl: Any) -> None:
        there = self.found(scope, key, [])
        try:
            length = self.memory.append(key, *items, max_items=4, ttl=ttl, **scope)
        except WrongTypeError:
            assert not isinstance(there, list)
            return
        turns = [*there, *items][-4:]
        assert length == len(turns)
        self.put_keeping_expiry(scope, key, turns, ttl)
        self.check(scope, key)

    @rule(scope=scopes, key=keys, amount=amounts, ttl=ttls)
    def increment(self, scope: dict[str, Any], key: str, amount: float, ttl: Any) -> None:
        there = self.found(scope, key, 0)
        number = isinstance(there, int | float) and not isinstance(there, bool)
        if number and not math.isfinite(there + amount):
            return
        try:
            new = self.memory.increment(key, amount, ttl=ttl, **scope)
        except WrongTypeError:
            assert not number
            return
        assert _same(new, there + amount)
        self.put_keeping_expiry(scope, key, new, ttl)
        self.check(scope, key)

    @rule(scope=scopes, requested=some_keys)
    def get_many(self, scope: dict[str, Any], requested: list[str]) -> None:
        live = [key for key in dict.fromkeys(requested) if _at(scope, key) in self.records]
        assert _same(
            list(self.memory.get_many(requested, **scope).items()),
            [(key, self.found(scope, key)) for key in live],
        )

    @rule(scope=scopes, mapping=st.dictionaries(keys, values, max_size=4), ttl=ttls)
    def set_many(self, scope: dict[str, Any], mapping: dict[str, Any], ttl: Any) -> None:
        assert self.memory.set_many(mapping, ttl=ttl, **scope) is True
        for key, value in mapping.items():
            self.put(scope, key, value, ttl)

    @rule(scope=scopes, requested=some_keys)
    def delete_many(self, scope: dict[str, Any], requested: list[str]) -> None:
        gone = [self.records.pop(_at(scope, key), None) for key in requested]
        assert self.memory.delete_many(requested, **scope) == sum(
            value is not None for value in gone
        )

    @rule(scope=scopes, key=keys)
    def ttl(self, scope: dict[str, Any], key: str) -> None:
        self.check(scope, key)

    @rule(scope=scopes, key=keys, ttl=st.sampled_from([60, NO_EXPIRY]))
    def touch(self, scope: dict[str, Any], key: str, ttl: Any) -> None:
        there = _at(scope, key) in self.records
        assert self.memory.touch(key, ttl, **scope) is there
        if there:
            self.put(scope, key, self.found(scope, key), ttl)
        self.check(scope, key)

    @precondition(lambda self: self.expired < 2)
    @rule(scope=scopes, expiring=st.lists(keys, min_size=1, max_size=4), value=values)
    def expire(self, scope: dict[str, Any], expiring: list[str], value: Any) -> None:
        for key in expiring:
            self.memory.set(key, value, ttl=self.contract.short_ttl, **scope)
            self.records.pop(_at(scope, key), None)
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


def _at(scope: dict[str, Any], key: str) -> tuple[str, ...]:
    return (*scope.values(), key)


def _same(found: Any, expected: Any) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(found) == repr(expected)
