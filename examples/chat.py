"""A chat in the terminal, with a memory that outlives it: what `./demo` runs."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress

from rich.console import Console
from rich.text import Text

from fibonacci import FibonacciError, LLMNode, MemoryConfig, NodeText, Workflow

MAX_STORED = 4_000
"""Characters of an answer. One that repeats the prompt would otherwise double the
history with each turn."""

HELP = """\
/memory       what is remembered of you
/forget       forget it
/user NAME    switch to another user: each has a separate memory
/quit         leave; the memory stays
Redis and Claude: ./demo --backend redis --url redis://localhost --model claude-…
(set ANTHROPIC_API_KEY before)"""


def chatbot(backend: str, url: str | None, model: str) -> Workflow:
    """Return the workflow: one node, which reads the user's history before it calls the model."""
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
    """The chat on the screen, and its user."""

    def __init__(self, workflow: Workflow, console: Console, user: str) -> None:
        self.workflow = workflow
        self.console = console
        self.switch_user(user)

    def switch_user(self, user: str) -> None:
        """Switch to another user; an invalid name changes nothing."""
        self.print_count(user)
        self.user = user

    def print_count(self, user: str) -> None:
        self.print(f"Remembered of {user}: {len(self.history(user))} messages.", "dim")

    def history(self, user: str) -> list[dict[str, str]]:
        memory = self.workflow.memory.for_user(user)
        turns: list[dict[str, str]] = memory.get("history", default=[])
        return turns

    def run_command(self, command: str) -> None:
        """Run a command: a line that starts with "/"."""
        match command.split():
            case ["/memory"]:
                for turn in self.history(self.user):
                    self.print(f"{turn['role']}: {' '.join(turn['content'].split())}", "cyan")
                self.print_count(self.user)
            case ["/forget"]:
                self.workflow.memory.delete("history", scope="user", user_id=self.user)
                self.print_count(self.user)
            case ["/user", name]:
                self.switch_user(name)
            case _:
                self.print(HELP, "dim")

    def send(self, message: str) -> None:
        """Send a message, print the streamed answer, and store both."""
        with closing(
            self.workflow.stream(inputs={"message": message}, user_id=self.user)
        ) as events:
            answer = self.print_stream(
                event.text for event in events if isinstance(event, NodeText)
            )
        self.workflow.memory.append(
            "history",
            {"role": "user", "content": message},
            {"role": "assistant", "content": answer[:MAX_STORED]},
            scope="user",
            user_id=self.user,
            max_items=20,
        )

    def print_stream(self, chunks: Iterator[str]) -> str:
        """Print an answer as it arrives; return the whole."""
        with self.console.status("…") if self.console.is_terminal else nullcontext():
            answer = next(chunks, "")
        try:
            self.console.print(Text(printable(answer), "green"), soft_wrap=True, end="")
            for chunk in chunks:
                self.console.print(Text(printable(chunk), "green"), soft_wrap=True, end="")
                answer += chunk
        finally:
            self.console.print()
        return answer

    def print(self, text: str, style: str) -> None:
        self.console.print(Text(printable(text), style), soft_wrap=not self.console.is_terminal)

    def read_lines(self) -> Iterator[str]:
        """Yield the lines that are typed, or piped in."""
        if not (sys.stdin.isatty() and self.console.is_terminal):
            for line in sys.stdin:
                self.print(f"{self.user}> {line.strip()}", "")
                yield line.strip()
            return
        with suppress(ImportError):
            import readline  # noqa: F401 - arrow keys at the prompt
        with suppress(EOFError):
            while True:
                # Not the console's input: readline has to know how wide the prompt is.
                yield input(printable(f"{self.user}> ")).strip()

    def run(self) -> None:
        """Chat until the last line, or /quit."""
        for line in self.read_lines():
            if line == "/quit":
                break
            try:
                if line.startswith("/"):
                    self.run_command(line)
                elif line:
                    self.send(line)
            except FibonacciError as error:
                self.print(f"That failed: {error}", "red")


def printable(text: str) -> str:
    """Return text without terminal escape codes, which a model or a memory could hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="llamacpp:smollm2")
    parser.add_argument("--backend", default="memory")
    parser.add_argument("--url")
    parser.add_argument("--user", default="you")
    options = parser.parse_args()
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        with chatbot(options.backend, options.url, options.model) as workflow:
            workflow.validate()  # a missing model is an error before the first message
            console.print(f"Talking with {options.model}. /help says what you can do.", style="dim")
            Chat(workflow, console, options.user).run()
    except FibonacciError as error:
        sys.exit(f"chat: {error}")
    except KeyboardInterrupt:
        console.print()


if __name__ == "__main__":
    main()
