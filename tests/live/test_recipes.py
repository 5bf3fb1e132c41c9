"""The queries in the READMEs show the plain, sealed and large records of a store."""

import re
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fibonacci import MemoryConfig, Workflow, generate_key

PLUGINS = Path(__file__).parents[2] / "plugins"
LARGE = "é" * 1_000_000
SHOWN = '"' + "é" * 99


def fill(backend: str, url: str) -> None:
    """Write plain, sealed and large records, with characters beyond ASCII."""
    plain = MemoryConfig(backend, url)
    sealed = MemoryConfig(backend, url, encrypt_values=True, encryption_key=generate_key())
    for name, config in (("plain", plain), ("sealed", sealed)):
        with Workflow("é" * 200, config) as workflow:
            workflow.memory.set(f"{name}:small", ["é", 1])
            workflow.memory.set(f"{name}:large", LARGE, scope="user", user_id="ada", ttl=3600)


def recipe(plugin: str, pattern: str) -> str:
    """Return the only query of a README that matches this pattern."""
    readme = (PLUGINS / plugin / "README.md").read_text(encoding="utf-8")
    (query,) = re.findall(pattern, readme, flags=re.DOTALL)
    return str(query)


def assert_shown(rows: list[tuple[Any, ...]], small: int, large: int) -> None:
    """Assert that the rows show plain values, and the size of sealed ones."""
    assert sorted(rows) == [
        ("plain:large", SHOWN),
        ("plain:small", '["é",1]'),
        ("sealed:large", f"sealed, {large} bytes"),
        ("sealed:small", f"sealed, {small} bytes"),
    ]


SIZES = (106 + len('["é",1]'.encode()), 106 + len(f'"{LARGE}"'.encode()))


def test_postgres(postgres_url: str) -> None:
    """The README's query shows all records, their owners, and which are sealed."""
    fill("postgres", postgres_url)
    query = recipe("fibonacci-postgres", r"```postgres\n(SELECT .*?)```")
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(query.encode()).fetchall()
    assert_shown([row[2:4] for row in rows], *SIZES)
    owners = {key: (scope, owner, bool(expiry)) for scope, owner, key, _, expiry in rows}
    assert owners["sealed:small"] == ("workflow", "é" * 200, False)
    assert owners["plain:large"] == ("user", "ada", True)


def test_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's query shows all records, and which are sealed."""
    monkeypatch.chdir(tmp_path)
    fill("sqlite", "sqlite:///memory.db")
    query = recipe("fibonacci-sqlite", r'\$ sqlite3 memory\.db "(SELECT [^"]*)"')
    database = sqlite3.connect("memory.db")
    rows = database.execute(query).fetchall()
    database.close()
    assert_shown(rows, *SIZES)
