"""Functions as models: those that return a completion, and generators that stream it."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from typing import Any

from fibonacci._workflow.runtime import reject_awaitable
from fibonacci._workflow.timeouts import has_passed
from fibonacci.errors import ModelError, WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta


class FunctionModel(Model):
    """A function as a model: it gets the request, and returns or yields the completion.

    It returns text or a Completion, or is a generator function, sync or async, that yields texts
    and may end with a Completion. What counts is what a call returns, so that a function that
    returns another one's generator streams as well.
    """

    supported_options = frozenset({"temperature", "stop", "messages"})

    def __init__(self, function: Callable[[ModelRequest], Any]) -> None:
        self._function = function

    def complete(self, request: ModelRequest) -> Completion:
        result = reject_awaitable(self._function(request))
        if not isinstance(result, Generator):  # the rest costs 2 µs
            return _to_completion(result)
        last: TextDelta | Completion | None = None
        with closing(_stream(result, request.deadline)) as items:
            for item in items:
                last = item
        assert isinstance(last, Completion)
        return last

    async def acomplete(self, request: ModelRequest) -> Completion:
        last: TextDelta | Completion | None = None
        async with aclosing(self.astream(request)) as items:
            async for item in items:
                last = item
        assert isinstance(last, Completion)
        return last

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        yield from _stream(reject_awaitable(self._function(request)), request.deadline)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        from fibonacci._workflow.async_runtime import call_async, iterate_in_threads

        result, collector = await call_async(self._function, request), _Collector(request.deadline)
        if isinstance(result, Generator):
            result = iterate_in_threads(_items(result))
        elif not isinstance(result, AsyncGenerator):
            result = _async_items(result)
        async with aclosing(result) as items:
            async for item in items:
                if text := collector.add(item):
                    yield TextDelta(text)
        yield collector.completion()


class _Collector:
    """Checks the items of one completion, and collects their texts."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._texts: list[str] = []
        self._completion: Completion | None = None

    def add(self, item: Any) -> str:
        """Return the text that an item adds. Raises WorkflowValidationError and ModelError."""
        # In sync code the caller has gone on: this ends a generator that may never end by itself.
        if has_passed(self._deadline):
            raise ModelError("a function as a model has exceeded the request's deadline")
        if self._completion is not None:
            raise WorkflowValidationError(
                "a function as a model must not yield or return anything after its Completion"
            )
        if isinstance(item, Completion):
            self._completion = item
            text = "" if self._texts else item.text
        else:
            text = _delta_text(item)
        if text:
            self._texts.append(text)
        return text

    def completion(self) -> Completion:
        """Return the whole completion. Raises WorkflowValidationError if it has another text."""
        text = "".join(self._texts)
        if self._completion is None:
            return Completion(text=text)
        if self._completion.text != text:
            raise WorkflowValidationError(
                "the whole text of a function as a model must be the texts that it yielded, joined"
            )
        return self._completion


def _stream(result: Any, deadline: float | None) -> Generator[TextDelta | Completion]:
    collector = _Collector(deadline)
    with closing(_items(result)) as items:
        for item in items:
            if text := collector.add(item):
                yield TextDelta(text)
    yield collector.completion()


def _items(result: Any) -> Generator[Any]:
    """Yield what a generator yields. What it returns, as a function does, is a whole completion."""
    if isinstance(result, Generator):
        result = yield from result
        if result is None:
            return
    yield _to_completion(result)


async def _async_items(result: Any) -> AsyncGenerator[Any]:
    """Yield the one item of a function that is no generator."""
    yield _to_completion(result)


def _delta_text(item: Any) -> str:
    text = item.text if isinstance(item, TextDelta) else item
    if isinstance(text, str):
        return str.__str__(text)
    raise WorkflowValidationError(
        f"a function as a model must yield texts, or a Completion at the end, "
        f"not {type(text).__name__}"
    )


def _to_completion(result: Any) -> Completion:
    if isinstance(result, Completion):
        return result
    if isinstance(result, str):
        return Completion(text=str.__str__(result))
    raise WorkflowValidationError(
        f"a function as a model must return text or a Completion, not {type(result).__name__}"
    )
