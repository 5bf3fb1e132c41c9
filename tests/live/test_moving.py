"""Moving a workflow to another backend changes one string and no result."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
from backends import BACKENDS, store

from fibonacci import FibonacciError, MemoryConfig, MemoryManager, Workflow

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

KEYS = ["a", "b", "b:c", "é", "*", "x" * 200]
VALUES = [None, 0, 1.5, 2**70, "text", [], [1, {"k": None}], {"deep": [[[]]]}, True]


def program(seed: int) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Return two hundred calls of all verbs, the same for the same seed."""
    chance = random.Random(seed)
    where = [{}, {"scope": "user", "user_id": "u"}, {"scope": "global"}]
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    for _ in range(200):
        key, value, scope = chance.choice(KEYS), chance.choice(VALUES), chance.choice(where)
        calls.append(
            chance.choice(
                [
                    ("set", (key, value), {"ttl": chance.choice([None, 1000])}),
                    ("get", (key,), {"default": "none"}),
                    ("delete", (key,), {}),
                    ("exists", (key,), {}),
                    ("add", (key, value), {}),
                    ("append", (key, value), {"max_items": 3}),
                    ("increment", (key, chance.choice([1, 2.5, -3])), {}),
                    ("get_many", (KEYS,), {}),
                    ("set_many", ({key: value, "other": 1},), {}),
                    ("delete_many", ([key, "missing"],), {}),
                    ("list_keys", (), {"pattern": chance.choice([None, "b*", "[!a]*", "?"])}),
                    ("ttl", (key,), {}),
                    ("touch", (key, 2000), {}),
                    ("update", (key, lambda found: [found]), {}),
                    ("clear", (), {}),
                ]
            )
        )
        calls[-1][2].update(scope)
    return calls


def results(memory: MemoryManager, seed: int) -> list[Any]:
    """Return what the calls return; of an error, its type."""
    found: list[Any] = []
    for verb, arguments, settings in program(seed):
        try:
            result = getattr(memory, verb)(*arguments, **settings)
        except FibonacciError as error:
            result = type(error).__name__
        if verb == "ttl" and isinstance(result, float) and math.isfinite(result):
            result = round(result, -2)  # time has passed meanwhile
        found.append((verb, result))
    return found


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 5))]
)
def test_every_result_is_the_same(
    seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A random program of two hundred calls gives the same results on every backend."""
    by_backend = {}
    for name in BACKENDS:
        backend, url = store(name, request, tmp_path)
        with Workflow("moving", MemoryConfig(backend, url)) as workflow:
            by_backend[name] = results(workflow.memory, seed)
    for name in BACKENDS[1:]:
        assert by_backend[name] == by_backend["memory"], name
