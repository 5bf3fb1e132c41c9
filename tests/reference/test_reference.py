"""The reference, verified: each snippet runs, each table row is true."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from backends import BACKENDS, store

from fibonacci import (
    LLMNode,
    MemoryConfig,
    MemoryManager,
    PluginNotFoundError,
    ScopeError,
    Workflow,
    plugins,
    register_plugin,
)
from fibonacci.plugin import (
    SCOPES,
    Completion,
    Model,
    ModelRequest,
    ModelSettings,
    hookimpl,
)

TEXT = (Path(__file__).parent / "REFERENCE.md").read_text(encoding="utf-8")
MEMORY, NODES = TEXT.split("## Memory in Nodes")

SIGNATURE = re.compile(r"memory\.(\w+)\(([^()]*: [^()]*)\) -> .*\n")


def snippets(text: str) -> list[str]:
    """Return the Python blocks of a text."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


SIGNATURES = dict(found for text in snippets(MEMORY) for found in SIGNATURE.findall(text))
PROGRAMS = [text for text in (SIGNATURE.sub("", one).strip() for one in snippets(MEMORY)) if text]
READING, WRITING, ENCRYPTING, CHATBOT = snippets(NODES)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A backend, and the URL of an unused store, for the snippets about redis."""
    return store(request.param, request, tmp_path)


def run(program: str, names: dict[str, Any], backend: tuple[str, str]) -> dict[str, Any]:
    """Run a program with its server replaced by ours, and nothing else changed."""
    name, url = backend
    program = program.replace('backend="redis"', f"backend={name!r}")
    program = re.sub(r'connection_url="redis://[^"]*"', f"connection_url={url!r}", program)
    exec(compile(program, "REFERENCE.md", "exec"), names)
    return names


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """Return the names that a snippet may presuppose: a memory, and the data that it stores."""
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


def test_all_snippets_are_here() -> None:
    """The reference has the signatures of six verbs, six programs about memory, and four more."""
    assert list(SIGNATURES) == ["set", "get", "delete", "exists", "clear", "list_keys"]
    assert len(PROGRAMS) == 6
    assert "memory_read" in READING
    assert "memory_write" in WRITING
    assert "encrypt_values" in ENCRYPTING
    assert "chat_with_user" in CHATBOT
    assert len(snippets(TEXT)) == len(snippets(MEMORY)) + 4


def test_all_programs_are_type_checked() -> None:
    """The type checkers read the reference's programs, in order, each as it is written."""
    checked = Path(__file__).parents[1] / "typing" / "reference_programs.py"
    programs = [*PROGRAMS, *map(str.strip, (READING, WRITING, ENCRYPTING, CHATBOT))]
    assert checked.read_text(encoding="utf-8").endswith("\n\n".join(programs) + "\n")


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_snippet(program: str, names: dict[str, Any], backend: tuple[str, str]) -> None:
    """A snippet runs as it is written."""
    run(program, names, backend)


def test_results_of_the_snippets(names: dict[str, Any], backend: tuple[str, str]) -> None:
    """The snippets, run one after the other, leave the results that they state."""
    for program in PROGRAMS:
        run(program, names, backend)
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
    """Return the rows of the table under a heading."""
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


class Claude(Model):
    """Stands for the provider's model: it records its prompts, and answers with a number."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.names: set[str] = set()

    def complete(self, request: ModelRequest) -> Completion:
        self.prompts.append(request.prompt)
        return Completion(text=f"answer {len(self.prompts)}")


@pytest.fixture
def claude() -> Iterator[Claude]:
    """The model of all names that start with ``claude-``."""
    model = Claude()

    class Provider:
        FIBONACCI_SPEC_VERSION = 1

        @hookimpl
        def fibonacci_model(self, settings: ModelSettings) -> Model:
            model.names.add(settings.model)
            return model

    with register_plugin("models", "claude-", Provider()):
        yield model
    assert model.names == {"claude-sonnet-4-5-20250929"}


def of_node(program: str, backend: tuple[str, str]) -> Workflow:
    """Return a workflow of the node that a snippet defines."""
    name, url = backend
    workflow = Workflow("nodes", MemoryConfig(name, url))
    workflow.add_node(run(program, {"LLMNode": LLMNode}, backend)["node"])
    return workflow


def test_reading_memory(claude: Claude, backend: tuple[str, str]) -> None:
    """A node's prompt has the memory that it reads; absent keys are empty."""
    with of_node(READING, backend) as workflow:
        workflow.execute({"message": "Hi"})
        workflow.memory.set("history", "We met.")
        workflow.execute({"message": "Hi"}, user_id="u")
        assert asyncio.run(workflow.aexecute({"message": "Hi"}))["chat"] == "answer 3"
    later = "Previous context: We met.\n\nUser: Hi"
    assert claude.prompts == ["Previous context: \n\nUser: Hi", later, later]


def test_writing_memory(claude: Claude, backend: tuple[str, str]) -> None:
    """A node's output is in its user's memory; without a user the model is not called."""
    with of_node(WRITING, backend) as workflow:
        with pytest.raises(ScopeError):
            workflow.execute({"text": "long"})
        assert claude.prompts == []
        workflow.execute({"text": "long"}, user_id="u1")
        asyncio.run(workflow.aexecute({"text": "long"}, user_id="u2"))
        assert claude.prompts == ["Summarize: long"] * 2
        assert workflow.memory.for_user("u1").get("last_summary") == "answer 1"
        assert workflow.memory.for_user("u2").get("last_summary") == "answer 2"
        assert workflow.memory.list_keys() == []


# A warning of our lowest botocore, which pytest.warns issues again as its own.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_encryption_needs_its_plugin(backend: tuple[str, str]) -> None:
    """Without a cipher the workflow can't be created, so nothing is stored in plain."""
    installed = {info.name for info in plugins() if info.kind == "encryption"}
    if "aes-256-gcm" in installed:
        with pytest.warns(UserWarning, match="is used as a passphrase"):
            workflow = run(ENCRYPTING, {}, backend)["workflow"]
        assert workflow.memory.get("sensitive") == {"ssn": "123-45-6789"}
        return
    with pytest.raises(PluginNotFoundError, match=r"pip install 'fibonacci-core\[crypto\]'"):
        run(ENCRYPTING, {}, backend)


@pytest.fixture
def chatbot(claude: Claude, backend: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """The complete example."""
    names = run(CHATBOT, {}, backend)
    with names["workflow"]:
        yield names


def prompt(history: str, message: str) -> str:
    """Return the prompt of the example's node."""
    return f"Conversation history:\n{history}\n\nUser: {message}\n\nRespond naturally."


def test_first_turn(chatbot: dict[str, Any], claude: Claude) -> None:
    """The first turn has no history; the second has the first."""
    chat = chatbot["chat_with_user"]
    assert chat("u1", "Hello") == "answer 1"
    assert chat("u1", "Again") == "answer 2"
    first = '[{"role":"user","content":"Hello"},{"role":"assistant","content":"answer 1"}]'
    assert claude.prompts == [prompt("", "Hello"), prompt(first, "Again")]


def test_twelve_turns(chatbot: dict[str, Any]) -> None:
    """Twelve turns leave the last twenty messages, in order."""
    for turn in range(1, 13):
        chatbot["chat_with_user"]("u1", f"message {turn}")
    history = chatbot["workflow"].memory.get("history", scope="user", user_id="u1")
    assert history == [
        message
        for turn in range(3, 13)
        for message in (
            {"role": "user", "content": f"message {turn}"},
            {"role": "assistant", "content": f"answer {turn}"},
        )
    ]


def test_two_users(chatbot: dict[str, Any], claude: Claude) -> None:
    """No word of one user reaches another one's prompt or history."""
    chat, memory = chatbot["chat_with_user"], chatbot["workflow"].memory
    for turn in range(5):
        for user in ("ann", "bob"):
            chat(user, f"{user} says {turn}")
    for user, other in (("ann", "bob"), ("bob", "ann")):
        assert other not in str(memory.for_user(user).get("history"))
        prompts = [one for one in claude.prompts if f"User: {user}" in one]
        assert len(prompts) == 5
        assert not any(other in one for one in prompts)
    assert memory.list_keys() == []


def test_the_example_in_async_code(chatbot: dict[str, Any], claude: Claude) -> None:
    """The example's workflow works with ``await``."""
    workflow = chatbot["workflow"]

    async def turn(user_id: str, message: str) -> str:
        result = await workflow.aexecute(inputs={"message": message}, user_id=user_id)
        said = [
            {"role": "user", "content": message},
            {"role": "assistant", "content": result["chat"]},
        ]
        await workflow.memory.aappend("history", *said, max_items=20, scope="user", user_id=user_id)
        return str(result["chat"])

    async def talk() -> list[str]:
        return [await turn(user, f"from {user}") for user in ("ann", "bob", "ann")]

    assert asyncio.run(talk()) == ["answer 1", "answer 2", "answer 3"]
    assert "from ann" in claude.prompts[2]
    assert "bob" not in claude.prompts[2]
