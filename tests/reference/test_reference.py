"""The reference, held to the letter: each snippet about memory runs, each table row is true."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fibonacci import MemoryConfig, MemoryManager, ScopeError, Workflow
from fibonacci.plugin import SCOPES

TEXT = (Path(__file__).parent / "REFERENCE.md").read_text(encoding="utf-8")
MEMORY = TEXT[: TEXT.index("## Memory in Nodes")]

SNIPPETS = re.findall(r"```python\n(.*?)```", MEMORY, flags=re.DOTALL)
SIGNATURE = re.compile(r"memory\.(\w+)\(([^()]*: [^()]*)\) -> .*\n")
SIGNATURES = dict(found for text in SNIPPETS for found in SIGNATURE.findall(text))
PROGRAMS = [text for text in (SIGNATURE.sub("", one).strip() for one in SNIPPETS) if text]


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What a snippet may take for granted: a memory, and the data that it stores."""
    with Workflow("my-workflow") as workflow:
        yield {
            "Workflow": Workflow,
            "memory": workflow.memory,
            "data": {"step": 1},
            "prefs": {"theme": "dark"},
            "kb": ["fact"],
            "config": {"limit": 3},
        }
        for scope in ("workflow", "organization", "global"):
            workflow.memory.clear(scope=scope)


def in_process(program: str) -> str:
    """The program with its server swapped for this process, and nothing else changed."""
    program = program.replace('backend="redis",', 'backend="memory"')
    return re.sub(r'\n\s*connection_url="redis://[^"]*"', "", program)


def test_all_snippets_are_here() -> None:
    """The reference has the signatures of six verbs, and six programs about memory."""
    assert list(SIGNATURES) == ["set", "get", "delete", "exists", "clear", "list_keys"]
    assert len(PROGRAMS) == 6


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_snippet(program: str, names: dict[str, Any]) -> None:
    """A snippet runs as it is written, in this process."""
    exec(compile(in_process(program), "REFERENCE.md", "exec"), names)


def test_what_the_snippets_do(names: dict[str, Any]) -> None:
    """The snippets, run one after the other, leave what they say."""
    for program in PROGRAMS:
        exec(compile(in_process(program), "REFERENCE.md", "exec"), names)
    memory = names["memory"]
    assert memory is names["workflow"].memory
    assert memory.get("last_run") == {"timestamp": "2025-01-23"}
    assert memory.get("preferences", scope="user", user_id="user-123") == {"theme": "dark"}
    assert 3590 < memory.ttl("cache") <= 3600
    assert (names["prefs"], names["history"]) == ({}, [])
    assert names["keys"] == ["cache", "last_run"]
    assert names["cache_keys"] == []
    assert memory.get("step_results") == names["data"]
    assert memory.get("knowledge_base", scope="organization") == names["kb"]
    assert memory.get("app_config", scope="global") == names["config"]


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    """A verb has the reference's parameters, in order, with their defaults."""
    promised: dict[str, Any] = {"Any": Any}
    exec(f"def {name}({SIGNATURES[name]}): ...", promised)
    ours = inspect.signature(getattr(MemoryManager, name)).parameters
    theirs = inspect.signature(promised[name]).parameters
    assert [(p.name, p.kind, p.default) for p in theirs.values()] == [
        (p.name, p.kind, p.default) for p in list(ours.values())[1:]
    ]


def rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading."""
    section = TEXT[TEXT.index(heading) :]
    table = re.search(r"(?:\|.*\|\n)+", section)
    assert table is not None
    lines = table.group().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_parameters_of_memory_config() -> None:
    """MemoryConfig's first six fields are the reference's, in order, with their defaults."""
    promised = {name: eval(default) for name, _, default, _ in rows("### Parameters")}
    fields = attrs.fields(MemoryConfig)[:6]
    assert promised == {field.name: field.default for field in fields}
    assert list(promised) == [field.name for field in fields]
    assert not any(field.kw_only for field in fields)
    positional = MemoryConfig("memory", "memory://x", "p:", 60, "key", False)
    assert (positional.key_prefix, positional.default_ttl) == ("p:", 60)


def test_scopes() -> None:
    """The scopes are the reference's four."""
    assert [scope for scope, *_ in rows("## Memory Scopes")] == list(SCOPES)


def test_user_scope_needs_a_user() -> None:
    """A user_id is required for the user scope."""
    with pytest.raises(ScopeError):
        Workflow("reference").memory.get("k", scope="user")


def test_read_across_executions() -> None:
    """Data outlives the workflow object that wrote it."""
    config = MemoryConfig(connection_url="memory://executions")
    Workflow("stateful-workflow", config).memory.set("last_run", {"timestamp": "2025-01-23"})
    again = Workflow("stateful-workflow", config).memory
    assert again.get("last_run") == {"timestamp": "2025-01-23"}
