"""What a test of a model works with: the model under test, called in the test's mode."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar

import attrs
import pytest

from fibonacci._workflow.models import find_model
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing.modes import CALL_MODES, AsyncMode, CallMode, CallPair, MixedMode

StreamItem = TextDelta | Completion


class ModelStream(ABC):
    """A stream that a test takes piece by piece."""

    @abstractmethod
    def next(self) -> StreamItem:
        """Return the next piece."""

    @abstractmethod
    def rest(self) -> list[StreamItem]:
        """Return all pieces that are left."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def throw(self, error: BaseException) -> None:
        """Break it off by an exception, which comes back from it."""


@attrs.frozen
class SyncStream(ModelStream):
    """What ``Model.stream`` returns."""

    pieces: Generator[StreamItem]

    def next(self) -> StreamItem:
        return next(self.pieces)

    def rest(self) -> list[StreamItem]:
        return list(self.pieces)

    def close(self) -> None:
        self.pieces.close()

    def throw(self, error: BaseException) -> None:
        self.pieces.throw(error)


@attrs.frozen
class AsyncStream(ModelStream):
    """What ``Model.astream`` returns, on the mode's event loop."""

    pieces: AsyncGenerator[StreamItem]
    mode: AsyncMode

    def next(self) -> StreamItem:
        piece: StreamItem = self.mode.run(partial(anext, self.pieces))
        return piece

    def rest(self) -> list[StreamItem]:
        pieces: list[StreamItem] = self.mode.run(partial(collect, self.pieces))
        return pieces

    def close(self) -> None:
        self.mode.run(self.pieces.aclose)

    def throw(self, error: BaseException) -> None:
        self.mode.run(partial(self.pieces.athrow, error))


@attrs.frozen
class ModelUnderTest:
    """A model, asked in a mode."""

    model: Model
    mode: CallMode

    def complete(self, request: ModelRequest) -> Completion:
        """Return the whole answer."""
        answer: Completion = self.mode.call(self.completion_call(request))
        return answer

    def stream(self, request: ModelRequest) -> list[StreamItem]:
        """Return all that the stream yields."""
        pieces: list[StreamItem] = self.mode.call(self.stream_call(request))
        return pieces

    def completion_call(self, request: ModelRequest) -> CallPair:
        """Return the call for the whole answer, to be made later."""
        return CallPair(
            partial(self.model.complete, request), partial(self.model.acomplete, request)
        )

    def stream_call(self, request: ModelRequest) -> CallPair:
        """Return the call for all pieces, to be made later."""

        async def call_async() -> list[StreamItem]:
            return await collect(self.model.astream(request))

        return CallPair(lambda: list(self.model.stream(request)), call_async)

    def open_stream(self, request: ModelRequest) -> ModelStream:
        """Return a stream of which nothing was taken yet."""

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


async def collect(pieces: AsyncGenerator[StreamItem]) -> list[StreamItem]:
    """Return all pieces that are left."""
    return [piece async for piece in pieces]


class ContractFixtures:
    """What a contract's class may set, and the tools of its tests."""

    model: Any
    """The model's name, as users write it; or a Model, or a fixture of this name."""
    request: ModelRequest = ModelRequest(prompt="Tell me about the sea, and ships.", max_tokens=24)
    """A question whose answer has at least three words."""
    endless_request: ModelRequest | None = None
    """A question whose stream begins at once, and goes on for seconds; None: no answer does."""
    slow_request: ModelRequest | None = None
    """A question that is not answered within two seconds; None: nothing is known to be."""
    failing_requests: Sequence[tuple[ModelRequest, bool]] = ()
    """Questions that fail, and whether another try may help; none: whatever is asked is answered.
    Their prompts are of eight characters or more, as no error may quote them."""
    secrets: Sequence[str] = ()
    """What no error and no repr may tell: the key to the service."""
    deterministic: ClassVar[bool] = True
    """Whether a question always has the same answer, also beside others; no model with dice."""

    modes: ClassVar[Sequence[str]] = tuple(CALL_MODES)
    """In which modes to run."""
    response_timeout: ClassVar[float] = 15.0
    """Seconds that any answer may take."""
    deadline_slack: ClassVar[float] = 0.5
    """Seconds that an error may come after the deadline; more on a machine that is busy."""
    concurrent_streams: ClassVar[int] = 8
    """Streams that are begun and closed: more than the model answers at once."""

    fibonacci_contract: ClassVar[str] = "ProviderContract"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once a mode."""
        if "mode" in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize("mode", metafunc.cls.modes, indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def mode(cls, request: pytest.FixtureRequest) -> Iterator[CallMode]:
        """The mode, with one event loop for all tests of the class."""
        with CALL_MODES[request.param]() as mode:
            yield mode

    @pytest.fixture(scope="class")
    @classmethod
    def shared_model(cls) -> Model | None:
        """The model, kept from test to test; None where a fixture has it."""
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
        """The model under test, asked plainly and awaited by turns."""
        with MixedMode() as mode:
            yield ModelUnderTest(raw_model, mode)

    def with_timeout(self, request: ModelRequest | None = None) -> ModelRequest:
        """Return the question with a deadline, so that a model which hangs fails the test."""
        return attrs.evolve(request or self.request, deadline=monotonic() + self.response_timeout)

    def check_completion(self, answer: Completion) -> Completion:
        """Check what holds for any answer, and return it."""
        assert isinstance(answer, Completion)
        assert type(answer.text) is str
        assert answer.stop_reason in ("end", "max_tokens", "stop", None)
        return answer

    def check_stream(self, pieces: Sequence[StreamItem]) -> Completion:
        """Check what holds for any stream, and return the whole answer at its end."""
        *deltas, answer = pieces
        assert isinstance(answer, Completion), "a stream ends with the whole answer"
        texts = [piece.text for piece in deltas if isinstance(piece, TextDelta)]
        assert len(texts) == len(deltas), "pieces come before the end, and one whole at it"
        assert "".join(texts) == answer.text
        return self.check_completion(answer)

    def check_equal(self, one: Completion, other: Completion) -> None:
        """Check that two answers to one question are the same, as far as the model is steady."""
        self.check_completion(one)
        self.check_completion(other)
        if self.deterministic:
            assert one.text == other.text
            assert one.stop_reason == other.stop_reason
