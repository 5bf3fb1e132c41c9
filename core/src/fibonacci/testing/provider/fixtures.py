"""What a test of a model works with: the model under test, called in the test's mode."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar

import attrs
import pytest

from fibonacci._workflow.models import find_model
from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing.modes import AsyncMode, CallMode, CallPair, MixedMode, ModeFixtures

StreamItem = TextDelta | Completion


class ModelStream(ABC):
    """A stream that a test takes item by item."""

    @abstractmethod
    def next(self) -> StreamItem:
        """Return the next item."""

    @abstractmethod
    def rest(self) -> list[StreamItem]:
        """Return all remaining items."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def throw(self, error: BaseException) -> None:
        """Throw an exception into it, which it raises."""


@attrs.frozen
class SyncStream(ModelStream):
    """What ``Model.stream`` returns."""

    items: Generator[StreamItem]

    def next(self) -> StreamItem:
        return next(self.items)

    def rest(self) -> list[StreamItem]:
        return list(self.items)

    def close(self) -> None:
        self.items.close()

    def throw(self, error: BaseException) -> None:
        self.items.throw(error)


@attrs.frozen
class AsyncStream(ModelStream):
    """What ``Model.astream`` returns, on the mode's event loop."""

    items: AsyncGenerator[StreamItem]
    mode: AsyncMode

    def next(self) -> StreamItem:
        item: StreamItem = self.mode.run(partial(anext, self.items))
        return item

    def rest(self) -> list[StreamItem]:
        items: list[StreamItem] = self.mode.run(partial(collect, self.items))
        return items

    def close(self) -> None:
        self.mode.run(self.items.aclose)

    def throw(self, error: BaseException) -> None:
        self.mode.run(partial(self.items.athrow, error))


@attrs.frozen
class ModelUnderTest:
    """A model that is called in one mode."""

    model: Model
    mode: CallMode

    def complete(self, request: ModelRequest) -> Completion:
        """Return the whole completion."""
        completion: Completion = self.mode.call(self.completion_call(request))
        return completion

    def stream(self, request: ModelRequest) -> list[StreamItem]:
        """Return all that the stream yields."""
        items: list[StreamItem] = self.mode.call(self.stream_call(request))
        return items

    def completion_call(self, request: ModelRequest) -> CallPair:
        """Return the call for the whole completion, to be called later."""
        return CallPair(
            partial(self.model.complete, request), partial(self.model.acomplete, request)
        )

    def stream_call(self, request: ModelRequest) -> CallPair:
        """Return the call for all items, to be called later."""

        async def call_async() -> list[StreamItem]:
            return await collect(self.model.astream(request))

        return CallPair(lambda: list(self.model.stream(request)), call_async)

    def open_stream(self, request: ModelRequest) -> ModelStream:
        """Return a stream from which nothing was read yet."""

        async def call_async() -> ModelStream:
            assert isinstance(self.mode, AsyncMode)
            return AsyncStream(self.model.astream(request), self.mode)

        stream: ModelStream = self.mode.call(
            CallPair(lambda: SyncStream(self.model.stream(request)), call_async)
        )
        return stream

    def with_mode(self, mode: CallMode) -> "ModelUnderTest":
        """Return the same model in another mode."""
        return ModelUnderTest(self.model, mode)


async def collect(items: AsyncGenerator[StreamItem]) -> list[StreamItem]:
    """Return all remaining items."""
    return [item async for item in items]


class ContractFixtures(ModeFixtures):
    """What a contract's class may set, and the tools of its tests."""

    model: Any
    """The model's name, as users write it; or a Model, or a fixture of this name."""
    request: ModelRequest = ModelRequest(prompt="Tell me about the sea, and ships.", max_tokens=24)
    """A request whose completion has at least three words."""
    endless_request: ModelRequest | None = None
    """A request whose stream begins at once, and goes on for seconds; None: no completion does."""
    slow_request: ModelRequest | None = None
    """A request that is not served within two seconds; None: nothing is known to be."""
    failing_requests: Sequence[tuple[ModelRequest, bool]] = ()
    """Requests that fail, and whether a retry may help; none: every request is served.
    Their prompts are of eight characters or more, as no error may quote them."""
    secrets: Sequence[str] = ()
    """What no error and no repr may show: the key to the service."""
    deterministic: ClassVar[bool] = True
    """Whether equal requests get equal completions, also concurrent ones: no random sampling."""

    response_timeout: ClassVar[float] = 15.0
    """Seconds that any completion may take."""
    deadline_slack: ClassVar[float] = 0.5
    """Seconds that an error may come after the deadline; more on a busy machine."""
    abandoned_streams: ClassVar[int] = 8
    """Streams or calls that are begun and abandoned: more than the model serves at once."""

    fibonacci_contract: ClassVar[str] = "ProviderContract"

    @classmethod
    def longest_call(cls) -> float:
        """Return the seconds that any completion may take."""
        return cls.response_timeout

    @pytest.fixture(scope="class")
    @classmethod
    def shared_model(cls) -> Model | None:
        """The model, shared by the tests; None if a fixture creates it."""
        return find_model(cls.model) if isinstance(cls.model, str | Model) else None

    @pytest.fixture
    def raw_model(self, request: pytest.FixtureRequest, shared_model: Model | None) -> Model:
        """The model under test."""
        found: Model = request.getfixturevalue("model") if shared_model is None else shared_model
        return found

    @pytest.fixture
    def provider(self, raw_model: Model, mode: CallMode) -> ModelUnderTest:
        """The model under test, in the test's mode."""
        return ModelUnderTest(raw_model, mode)

    @pytest.fixture
    def mixed_provider(self, raw_model: Model) -> Iterator[ModelUnderTest]:
        """The model under test, called in sync and async code in turn."""
        with MixedMode() as mode:
            yield ModelUnderTest(raw_model, mode)

    def with_timeout(self, request: ModelRequest | None = None) -> ModelRequest:
        """Return the request with a deadline, so that the test fails if the model hangs."""
        return attrs.evolve(request or self.request, deadline=monotonic() + self.response_timeout)

    def check_completion(self, completion: Completion) -> Completion:
        """Check what holds for any completion, and return it."""
        assert isinstance(completion, Completion)
        assert type(completion.text) is str
        assert completion.stop_reason in ("end", "max_tokens", "stop", None)
        return completion

    def check_stream(self, items: Sequence[StreamItem]) -> Completion:
        """Check what holds for any stream, and return the whole completion at its end."""
        *deltas, completion = items
        assert isinstance(completion, Completion), "a stream must end with the whole completion"
        texts = [item.text for item in deltas if isinstance(item, TextDelta)]
        assert len(texts) == len(deltas), (
            "a stream must yield text deltas, and one completion at its end"
        )
        assert "".join(texts) == completion.text
        return self.check_completion(completion)

    def check_equal(self, one: Completion, other: Completion) -> None:
        """Check that two completions to one request are the same, if the model is deterministic."""
        self.check_completion(one)
        self.check_completion(other)
        if self.deterministic:
            assert one.text == other.text
            assert one.stop_reason == other.stop_reason

    def check_response(self, mixed_provider: ModelUnderTest, request: ModelRequest) -> None:
        """Check that a request gets a completion, or a ModelError where some requests fail."""
        for _ in range(2):  # once sync, once async
            try:
                self.check_completion(mixed_provider.complete(self.with_timeout(request)))
            except ModelError as error:
                self._check_refusal(error, request)

    def _check_refusal(self, error: ModelError, request: ModelRequest) -> None:
        assert self.failing_requests, (
            f"without `failing_requests` every request must be served: {error}"
        )
        texts = [request.prompt, request.system_prompt or ""]
        texts += [text for message in request.messages for text in _texts_of(message["content"])]
        assert not [text for text in texts if len(text) >= 8 and text in str(error)]


def _texts_of(content: str | Sequence[Mapping[str, str]]) -> list[str]:
    return [content] if isinstance(content, str) else [block["text"] for block in content]
