"""Several processes on one file."""

import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from sqlite_children import Child, Gate, Send
from sqlite_helpers import Open

pytestmark = pytest.mark.bare  # a child's coverage takes half a second


def test_processes_create_one_file(path: Path, open_memory: Open):
    """Sixteen processes that find no file create one together, and lose no append()."""
    gate = Gate()

    def start(send: Send) -> None:
        memory = open_memory(path)
        gate.wait()
        memory.append("started", 1)

    children = [Child(start) for _ in range(16)]
    gate.open()
    for child in children:
        assert child.end() == []
    assert open_memory(path).get("started") == [1] * 16


def test_processes_lose_no_change(path: Path, open_memory: Open):
    """Four processes that change the same records lose no change, and apply each once (C16)."""
    gate = Gate()

    def change(name: int, send: Send) -> None:
        memory = open_memory(path)
        gate.wait()
        for number in range(100):
            send(str(memory.increment("n")))
            memory.append("turns", [name, number])

    children = [Child(lambda send, name=name: change(name, send)) for name in range(4)]
    gate.open()
    counts = Counter(int(line) for child in children for line in child.end())
    memory = open_memory(path)
    assert counts == Counter(range(1, 401))
    assert memory.get("n") == 400
    appended = memory.get("turns")
    assert len(appended) == 400
    for name in range(4):
        assert [number for writer, number in appended if writer == name] == list(range(100))


def test_killed_writer_loses_no_returned_write(path: Path, open_memory: Open):
    """A writer that is killed loses no write that has returned."""
    memory = open_memory(path)
    for round_number in range(5):

        def write(send: Send, round_number: int = round_number) -> None:
            own, number = open_memory(path), 0
            while True:
                own.set_many({f"{round_number}-{number}-{part}": "x" * 3000 for part in range(3)})
                send(str(number))
                number += 1

        child = Child(write)
        written = [child.next() for _ in range(20 + round_number)]
        written += child.kill()
        found = memory.list_keys(pattern=f"{round_number}-*")
        expected = {f"{round_number}-{number}-{part}" for number in written for part in range(3)}
        assert expected <= set(found)
        assert len(found) % 3 == 0
        assert memory.set("after", round_number) is True
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
