"""The bench that a model is tested on: what to ask it, and what any answer has to be."""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, ClassVar

import attrs
import pytest

from fibonacci._workflow.models import find_model
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci.testing.modes import CALL_MODES, CallMode, MixedMode
from fibonacci.testing.provider.spoken import Piece, SpokenModel


class Bench:
    """What a contract's class may set, and the tools of its tests."""

    model: Any
    """The model's name, as users write it; or a Model, or a fixture of this name."""
    request: ModelRequest = ModelRequest(prompt="Tell me about the sea, and ships.", max_tokens=24)
    """A question whose answer has at least three words."""
    endless: ModelRequest | None = None
    """A question whose stream begins at once, and goes on for seconds; None: no answer does."""
    slow: ModelRequest | None = None
    """A question that is not answered within two seconds; None: nothing is known to be."""
    failing: Sequence[tuple[ModelRequest, bool]] = ()
    """Questions that fail, and whether another try may help; none: whatever is asked is answered.
    Their prompts are of eight characters or more, as no error may quote them."""
    secrets: Sequence[str] = ()
    """What no error and no repr may tell: the key to the service."""
    steady: ClassVar[bool] = True
    """Whether a question always has the same answer, also beside others; no model with dice."""

    modes: ClassVar[Sequence[str]] = tuple(CALL_MODES)
    """In which modes to run."""
    patience: ClassVar[float] = 15.0
    """Seconds that any answer may take."""
    grace: ClassVar[float] = 0.5
    """Seconds that an error may come after the deadline; more on a machine that is busy."""
    streams: ClassVar[int] = 8
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
    def named(cls) -> Model | None:
        """The model, kept from test to test; None where a fixture has it."""
        return find_model(cls.model) if isinstance(cls.model, str | Model) else None

    @pytest.fixture
    def bare(self, request: pytest.FixtureRequest, named: Model | None) -> Model:
        """The model under test."""
        found: Model = request.getfixturevalue("model") if named is None else named
        return found

    @pytest.fixture
    def provider(self, bare: Model, mode: CallMode) -> SpokenModel:
        """The model under test, in the test's mode."""
        return SpokenModel(bare, mode)

    @pytest.fixture
    def both(self, bare: Model) -> Iterator[SpokenModel]:
        """The model under test, asked plainly and awaited by turns."""
        with MixedMode() as mode:
            yield SpokenModel(bare, mode)

    def patient(self, request: ModelRequest | None = None) -> ModelRequest:
        """Return the question with a deadline, so that a model which hangs fails the test."""
        return attrs.evolve(request or self.request, deadline=monotonic() + self.patience)

    def sound(self, answer: Completion) -> Completion:
        """Check what holds for any answer, and return it."""
        assert isinstance(answer, Completion)
        assert type(answer.text) is str
        assert answer.stop_reason in ("end", "max_tokens", "stop", None)
        return answer

    def whole(self, pieces: Sequence[Piece]) -> Completion:
        """Check what holds for any stream, and return the whole answer at its end."""
        *deltas, answer = pieces
        assert isinstance(answer, Completion), "a stream ends with the whole answer"
        texts = [piece.text for piece in deltas if isinstance(piece, TextDelta)]
        assert len(texts) == len(deltas), "pieces come before the end, and one whole at it"
        assert "".join(texts) == answer.text
        return self.sound(answer)

    def check_same(self, one: Completion, other: Completion) -> None:
        """Check that two answers to one question are the same, as far as the model is steady."""
        self.sound(one)
        self.sound(other)
        if self.steady:
            assert one.text == other.text
            assert one.stop_reason == other.stop_reason
