"""A chat in the terminal, with a memory that outlives it: what `./demo` runs."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress

from rich.console import Console
from rich.text import Text

from fibonacci import FibonacciError, LLMNode, MemoryConfig, NodeText, Workflow

REMEMBERED = 4_000
"""Characters of an answer. One that repeats what the model was told would otherwise double the
history with each turn."""

HELP = """\
/memory       what is remembered of you
/forget       forget it
/user NAME    be somebody else: each user has a memory of their own
/quit         leave; the memory stays
Redis and Claude: ./demo --backend redis --url redis://localhost --model claude-…
(set ANTHROPIC_API_KEY before)"""


def chatbot(backend: str, url: str | None, model: str) -> Workflow:
    """Return the workflow: one node, which reads the user's history before it asks the model."""
    config = MemoryConfig(backend=backend, connection_url=url, key_prefix="chat:")
    workflow = Workflow(name="chat", memory_config=config)
    answer = LLMNode(
        id="answer",
        model=model,
        system_prompt="You are a helpful AI assistant. Answer in one or two sentences.",
        prompt="Our conversation so far: {{memory.history}}\n\n{{input.message}}",
        memory_read=[{"key": "history", "scope": "user", "default": "none"}],
        max_tokens=80,
    )
    workflow.add_node(answer)
    return workflow


class Chat:
    """What is on the screen, and who is in front of it."""

    def __init__(self, workflow: Workflow, console: Console, user: str) -> None:
        self.workflow = workflow
        self.console = console
        self.be(user)

    def be(self, user: str) -> None:
        """Turn to a user; a name that can't be one changes nothing."""
        self.tell_how_much(user)
        self.user = user

    def tell_how_much(self, user: str) -> None:
        self.say(f"Remembered of {user}: {len(self.history(user))} messages.", "dim")

    def history(self, user: str) -> list[dict[str, str]]:
        memory = self.workflow.memory.for_user(user)
        turns: list[dict[str, str]] = memory.get("history", default=[])
        return turns

    def obey(self, command: str) -> None:
        """Do what a line that begins with / says."""
        match command.split():
            case ["/memory"]:
                for turn in self.history(self.user):
                    self.say(f"{turn['role']}: {' '.join(turn['content'].split())}", "cyan")
                self.tell_how_much(self.user)
            case ["/forget"]:
                self.workflow.memory.delete("history", scope="user", user_id=self.user)
                self.tell_how_much(self.user)
            case ["/user", name]:
                self.be(name)
            case _:
                self.say(HELP, "dim")

    def talk(self, message: str) -> None:
        """Answer one message piece by piece, and remember both."""
        with closing(
            self.workflow.stream(inputs={"message": message}, user_id=self.user)
        ) as events:
            answer = self.show(event.text for event in events if isinstance(event, NodeText))
        self.workflow.memory.append(
            "history",
            {"role": "user", "content": message},
            {"role": "assistant", "content": answer[:REMEMBERED]},
            scope="user",
            user_id=self.user,
            max_items=20,
        )

    def show(self, pieces: Iterator[str]) -> str:
        """Show an answer as it comes; return the whole."""
        with self.console.status("…") if self.console.is_terminal else nullcontext():
            answer = next(pieces, "")
        try:
            self.console.print(Text(plain(answer), "green"), soft_wrap=True, end="")
            for piece in pieces:
                self.console.print(Text(plain(piece), "green"), soft_wrap=True, end="")
                answer += piece
        finally:
            self.console.print()
        return answer

    def say(self, text: str, style: str) -> None:
        self.console.print(Text(plain(text), style), soft_wrap=not self.console.is_terminal)

    def lines(self) -> Iterator[str]:
        """Yield what is typed, or comes from a pipe."""
        if not (sys.stdin.isatty() and self.console.is_terminal):
            for line in sys.stdin:
                self.say(f"{self.user}> {line.strip()}", "")
                yield line.strip()
            return
        with suppress(ImportError):
            import readline  # noqa: F401 - arrow keys at the prompt
        with suppress(EOFError):
            while True:
                # Not the console's input: readline has to know how wide the prompt is.
                yield input(plain(f"{self.user}> ")).strip()

    def run(self) -> None:
        """Talk until the last line, or /quit."""
        for line in self.lines():
            if line == "/quit":
                break
            try:
                if line.startswith("/"):
                    self.obey(line)
                elif line:
                    self.talk(line)
            except FibonacciError as error:
                self.say(f"That failed: {error}", "red")


def plain(text: str) -> str:
    """Return text without commands to the terminal, which a model or a memory could hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="llamacpp:smollm2")
    parser.add_argument("--backend", default="memory")
    parser.add_argument("--url")
    parser.add_argument("--user", default="you")
    asked = parser.parse_args()
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with chatbot(asked.backend, asked.url, asked.model) as workflow:
            workflow.validate()  # a model that is not there is told before the first question
            console.print(f"Talking with {asked.model}. /help says what you can do.", style="dim")
            Chat(workflow, console, asked.user).run()
    except FibonacciError as error:
        sys.exit(f"chat: {error}")
    except KeyboardInterrupt:
        console.print()


if __name__ == "__main__":
    main()
