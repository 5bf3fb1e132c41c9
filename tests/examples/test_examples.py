"""The programs in examples/ do what they say."""

import os
import pty
import runpy
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fibonacci import FibonacciError, LLMNode, ModelError, Workflow
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing import fresh_memory, override_model

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Answering(Model):
    """A model that answers with its last prompt."""

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=f"You said: {request.prompt.splitlines()[-3]}")


@contextmanager
def chatbot_with(model: Model | str) -> Iterator[dict[str, Any]]:
    """Run the chatbot's source with this model, without a server; return its names."""
    with fresh_memory(), override_model("claude-*", model):
        names = runpy.run_path(str(EXAMPLES / "chatbot.py"))
        with names["workflow"]:
            yield names


@pytest.fixture
def chatbot() -> Iterator[dict[str, Any]]:
    """The chatbot's names, with a model that answers with its last prompt."""
    with chatbot_with(Answering()) as names:
        yield names


def test_the_chatbot_keeps_the_last_twenty_messages_of_each_user(chatbot: dict[str, Any]):
    """After twelve turns of two users, each history has that user's last twenty messages."""
    for turn in range(12):
        for user in ("ada", "bob"):
            answer = chatbot["chat_with_user"](user, f"{user} {turn}")
            assert answer == f"You said: User: {user} {turn}"
    for user in ("ada", "bob"):
        history = chatbot["workflow"].memory.get("history", scope="user", user_id=user)
        assert [one["content"] for one in history if one["role"] == "user"] == [
            f"{user} {turn}" for turn in range(2, 12)
        ]


def test_history_of_the_fastapi_example_is_limited(monkeypatch: pytest.MonkeyPatch):
    """The history stays limited although the default model's answers repeat all of it."""
    for name in [name for name in os.environ if name.startswith(("FIBONACCI_", "CHAT_"))]:
        monkeypatch.delenv(name)
    chat = runpy.run_path(str(EXAMPLES / "fastapi_chat" / "chat.py"))["chatbot"]()
    for turn in range(25):
        chat.execute({"message": f"{turn} " + "x" * 100}, user_id="ada")
    history = chat.memory.get("history", scope="user", user_id="ada")
    chat.memory.clear(scope="user", user_id="ada")
    assert [one["user"].split()[0] for one in history] == [f"{turn}" for turn in range(5, 25)]
    assert len(str(history)) < 100_000


def assert_limited(history: list[dict[str, str]]) -> None:
    """Assert that the history is the last ten of 25 turns, without nested histories."""
    assert [one["content"] for one in history[::2]] == [f"{turn}" for turn in range(15, 25)]
    assert len(str(history)) < 100_000


def test_history_of_the_chatbot_is_limited():
    """The chatbot's history stays limited with a model that repeats all of it."""
    with chatbot_with("echo") as names:
        for turn in range(25):
            names["chat_with_user"]("ada", f"{turn}")
        assert_limited(names["workflow"].memory.get("history", scope="user", user_id="ada"))


def test_history_of_the_chat_is_limited():
    """The terminal chat's history stays limited with the model echo."""
    names = runpy.run_path(str(EXAMPLES / "chat.py"))
    with names["chatbot"]("memory", None, "echo") as workflow:
        talk = names["Chat"](workflow, Console(file=StringIO()), "ada")
        for turn in range(25):
            talk.send(f"{turn}")
        assert_limited(talk.history("ada"))
        talk.run_command("/forget")


def test_the_newsroom_shortens_the_third_story(capsys: pytest.CaptureFixture[str]):
    """The nodes run in order, and the third story is shorter, as two are remembered."""
    runpy.run_path(str(EXAMPLES / "newsroom.py"))["main"]("echo")
    output = capsys.readouterr().out
    assert output.startswith("flowchart TD")
    assert "Tell this in 3 sentences, in a dry tone: Summarize: The river rose." in output
    assert "Tell this in 1 sentences, in a dry tone: Summarize: The bridge is closed." in output
    assert output.endswith("remembered for ada: ['preferences', 'stories'], 3 stories\n")


def chat(tmp_path: Path, *lines: str) -> str:
    """Return what the chat prints for these input lines, in a new process."""
    talk = subprocess.run(
        [
            sys.executable,
            str(EXAMPLES / "chat.py"),
            *("--model", "echo", "--backend", "sqlite", "--url", f"sqlite:///{tmp_path}/chat.db"),
        ],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (talk.returncode, talk.stderr) == (0, "")
    return talk.stdout


def test_the_chat_remembers_over_a_restart(tmp_path: Path):
    """A second process finds the first one's questions and answers."""
    assert "Remembered of you: 0 messages." in chat(tmp_path, "My name is Ada")
    output = chat(tmp_path, "/memory", "What is my name?")
    assert output.count("Remembered of you: 2 messages.") == 2
    assert "user: My name is Ada" in output
    assert "My name is Ada" in output.split("What is my name?", 1)[1]  # it was in the prompt


def test_the_chat_forgets_only_one_user(tmp_path: Path):
    """/forget forgets only the current user, and /user switches between separate histories."""
    chat(tmp_path, "One", "/user bob", "Two", "/user you", "/forget")
    output = chat(tmp_path, "/user bob", "/memory", "/quit", "never read")
    assert "Remembered of you: 0 messages." in output
    assert "Remembered of bob: 2 messages." in output
    assert "user: Two" in output
    assert "never read" not in output


def test_the_chat_escapes_terminal_commands(tmp_path: Path):
    """Escape sequences in a model's answer or a memory do not reach the terminal."""
    assert "\x1b" not in chat(tmp_path, "\x1b[31mred", "/memory")


def test_the_chat_refuses_an_unknown_model_at_once():
    """An unknown model is an error at once, not after the first question."""
    command = [sys.executable, str(EXAMPLES / "chat.py"), "--model", "ehco"]
    talk = subprocess.run(command, input="Hi\n", capture_output=True, text=True, timeout=60)
    output = "chat: unknown model provider 'ehco'. Did you mean 'echo'?\n"
    assert (talk.returncode, talk.stdout, talk.stderr) == (1, "", output)


def test_the_chat_refuses_a_name_that_is_too_long(tmp_path: Path):
    """A name that is too long is refused, and the current user stays."""
    output = chat(tmp_path, f"/user {'x' * 1001}", "/memory")
    assert "That failed: the user id has 1,001 bytes" in output
    assert output.endswith("you> /memory\nRemembered of you: 0 messages.\n")


def test_the_chat_prints_an_answer_as_it_streams():
    """Each piece is printed before the next is created; an answer that breaks off ends its line."""
    screen = StringIO()

    class Halting(Answering):
        def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
            yield TextDelta("Hello ")
            assert screen.getvalue().endswith("Hello ")
            yield TextDelta("Ada\x1b[31m.")
            assert screen.getvalue().endswith("Hello Ada�[31m.")
            if "never" in request.prompt:
                raise ModelError("broke off")
            yield Completion(text="Hello Ada\x1b[31m.")

    names = runpy.run_path(str(EXAMPLES / "chat.py"))
    with Workflow("chat") as workflow:
        workflow.add_node(LLMNode("answer", Halting(), "{{input.message}}"))
        chat = names["Chat"](workflow, Console(file=screen), "ada")
        chat.send("Hi")
        with pytest.raises(FibonacciError, match="broke off"):
            chat.send("never")
        assert [turn["content"] for turn in chat.history("ada")] == ["Hi", "Hello Ada\x1b[31m."]
        workflow.memory.clear(scope="user", user_id="ada")
    assert screen.getvalue().endswith("Hello Ada�[31m.\nHello Ada�[31m.\n")


def test_the_chat_in_a_terminal(tmp_path: Path):
    """What is typed and taken back (^U) leaves the prompt where it is."""
    ours, theirs = pty.openpty()
    command = [sys.executable, str(EXAMPLES / "chat.py"), "--model", "echo"]
    environment = {**os.environ, "TERM": "xterm", "HOME": str(tmp_path)}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment) as talk:
        os.close(theirs)
        shown = b""
        while b"you> " not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, b"hello\x15/quit\n")
        with suppress(OSError):  # how a terminal ends
            while piece := os.read(ours, 1000):
                shown += piece
    os.close(ours)
    assert talk.returncode == 0
    assert b"Remembered of you: 0 messages." in shown
    assert b"\r\x1b[K" not in shown
