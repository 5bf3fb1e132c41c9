"""A history in a store whose requests a test can interrupt."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from fibonacci import MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore

LONG = "x" * 1_500
"""Content of which two turns fill a page, and three the head."""

REQUESTS = (
    "read",
    "write",
    "compare_and_set",
    "remove",
    "remaining_ttl_ms",
    "touch",
    "scan",
    "read_many",
    "write_many",
    "remove_many",
)


class Killed(BaseException):
    """The process ends at this request."""


def kill() -> None:
    """End the process."""
    raise Killed


class StoppingStore(LocalStore):
    """A store with a function that is called before and after each request."""

    retry_transient_errors = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.on_request: Callable[[str, int], object] = lambda when, number: None
        self.is_about_page = False
        """Whether the newest request is about one record, and that is a page."""
        self.latest: Callable[[], object]
        """Applies the newest request."""

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in REQUESTS:
            return method

        def request(*args: Any, **kwargs: Any) -> Any:
            self.requests.append(name)
            is_about_page = "/pages/" in getattr(args[0], "key", "")
            self.latest = lambda: method(*args, **kwargs)
            number, self.is_about_page = len(self.requests), is_about_page
            self.on_request("before", number)
            result = method(*args, **kwargs)
            self.is_about_page = is_about_page
            self.on_request("after", number)
            return result

        return request

    def is_head_written(self) -> bool:
        """Return whether the newest request writes a head."""
        return self.requests[-1] == "compare_and_set" and not self.is_about_page


class FullHistory:
    """A history whose head is full, so that the next turn moves a page; some turns have a ttl."""

    pending: ClassVar[list[str]] = []
    """Interruptions that have not come about, in any history."""

    def __init__(self, *, timeout: float = 60, **options: Any) -> None:
        self.store = StoppingStore()
        self.workflow = Workflow("w", MemoryConfig(self.store, timeout=timeout))
        self.memory = self.workflow.memory
        self.history = self.memory.history("chat", user_id="ada")
        for number in range(14):
            self.history.add(user=f"{number}", assistant=LONG, **options)
        self.store.requests.clear()

    def time_out_after(self, seconds: float) -> None:
        """Have the history's calls time out sooner than those that filled it."""
        workflow = Workflow("w", MemoryConfig(self.store, timeout=seconds))
        self.history = workflow.memory.history("chat", user_id="ada")

    def said(self) -> list[str]:
        """The questions of all turns, oldest first."""
        return [turn.messages[0]["content"] for turn in self.history.turns(limit=1_000)]

    def list_keys(self) -> list[str]:
        """The keys of all records."""
        return self.memory.list_keys("user", "ada")

    def interrupt(
        self,
        when: Literal["before", "after"],
        method: str,
        act: Callable[[], object],
        *,
        pages: bool | None = None,
    ) -> None:
        """Call a function once, before or after the next request of a method.

        ``pages`` says whether it has to be about a page, or must not be.
        """

        def check(now: str, number: int) -> None:
            found = now, self.store.requests[number - 1]
            if found == (when, method) and pages in (None, self.store.is_about_page):
                self.go_on()
                act()

        self.pending.append(f"{when} {method}")
        self.store.on_request = check

    def go_on(self) -> None:
        """Interrupt no request from now on."""
        self.pending.clear()
        self.store.on_request = lambda when, number: None
