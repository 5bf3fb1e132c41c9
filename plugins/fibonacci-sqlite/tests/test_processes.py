"""Several processes on one file."""

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from sqlite_bench import Child, Gate, Open, Tell

pytestmark = pytest.mark.bare  # to measure a child takes half a second


def test_cold_start(path: Path, open_memory: Open):
    """Sixteen processes that find no file make one, together, and lose nothing."""
    gate = Gate()

    def start(tell: Tell) -> None:
        memory = open_memory(path)
        gate.wait()
        memory.append("started", 1)

    children = [Child(start) for _ in range(16)]
    gate.open()
    for child in children:
        assert child.end() == []
    assert open_memory(path).get("started") == [1] * 16


def test_appends_and_increments(path: Path, open_memory: Open):
    """Four processes that change the same records lose no change, and see each once (C16)."""
    gate = Gate()

    def change(name: int, tell: Tell) -> None:
        memory = open_memory(path)
        gate.wait()
        for number in range(100):
            tell(str(memory.increment("n")))
            memory.append("turns", [name, number])

    children = [Child(lambda tell, name=name: change(name, tell)) for name in range(4)]
    gate.open()
    counts = Counter(int(line) for child in children for line in child.end())
    memory = open_memory(path)
    assert counts == Counter(range(1, 401))
    assert memory.get("n") == 400
    turns = memory.get("turns")
    assert len(turns) == 400
    for name in range(4):
        assert [number for one, number in turns if one == name] == list(range(100))


def test_killed_writer(path: Path, open_memory: Open):
    """A writer that is killed in the midst of its writes has lost none that returned."""
    memory = open_memory(path)
    for turn in range(5):

        def write(tell: Tell, turn: int = turn) -> None:
            own, number = open_memory(path), 0
            while True:
                own.set_many({f"{turn}-{number}-{part}": "x" * 3000 for part in range(3)})
                tell(str(number))
                number += 1

        child = Child(write)
        told = [child.next() for _ in range(20 + turn)]
        told += child.kill()
        found = memory.list_keys(pattern=f"{turn}-*")
        expected = {f"{turn}-{number}-{part}" for number in told for part in range(3)}
        assert expected <= set(found)
        assert len(found) % 3 == 0
        assert memory.set("after", turn) is True
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
