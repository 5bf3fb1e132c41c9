"""The README's ways to look into a store show plain, sealed and large records."""

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
    """Write records that are plain, sealed and large, with characters beyond ASCII."""
    plain = MemoryConfig(backend, url)
    sealed = MemoryConfig(backend, url, encrypt_values=True, encryption_key=generate_key())
    for name, config in (("plain", plain), ("sealed", sealed)):
        with Workflow("é" * 200, config) as workflow:
            workflow.memory.set(f"{name}:small", ["é", 1])
            workflow.memory.set(f"{name}:large", LARGE, scope="user", user_id="ada", ttl=3600)


def recipe(plugin: str, pattern: str) -> str:
    """The one query of a README that this pattern finds."""
    readme = (PLUGINS / plugin / "README.md").read_text(encoding="utf-8")
    (query,) = re.findall(pattern, readme, flags=re.DOTALL)
    return str(query)


def assert_shown(rows: list[tuple[Any, ...]], small: int, large: int) -> None:
    """The rows show what is plain, and of what is sealed how much there is."""
    assert sorted(rows) == [
        ("plain:large", SHOWN),
        ("plain:small", '["é",1]'),
        ("sealed:large", f"sealed, {large} bytes"),
        ("sealed:small", f"sealed, {small} bytes"),
    ]


SIZES = (106 + len('["é",1]'.encode()), 106 + len(f'"{LARGE}"'.encode()))


def test_postgres(postgres_url: str) -> None:
    """One query shows all records, whose they are, and what of them is sealed."""
    fill("postgres", postgres_url)
    query = recipe("fibonacci-postgres", r"```postgres\n(SELECT .*?)```")
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(query.encode()).fetchall()
    assert_shown([row[2:4] for row in rows], *SIZES)
    owners = {key: (scope, owner, bool(expiry)) for scope, owner, key, _, expiry in rows}
    assert owners["sealed:small"] == ("workflow", "é" * 200, False)
    assert owners["plain:large"] == ("user", "ada", True)


def test_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's query shows all records, and what of them is sealed."""
    monkeypatch.chdir(tmp_path)
    fill("sqlite", "sqlite:///memory.db")
    query = recipe("fibonacci-sqlite", r'\$ sqlite3 memory\.db "(SELECT [^"]*)"')
    database = sqlite3.connect("memory.db")
    rows = database.execute(query).fetchall()
    database.close()
    assert_shown(rows, *SIZES)
