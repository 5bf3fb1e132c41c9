from pathlib import Path

import pytest

from fibonacci.plugin import Model, ModelRequest, ModelSettings
from fibonacci.testing import ProviderContract
from fibonacci_llamacpp import fibonacci_model

from .questions import ENDLESS, SAID


class TestLlamacpp(ProviderContract):
    request = SAID
    endless_request = slow_request = ENDLESS
    failing_requests = ((ModelRequest(prompt="words and " * 3_000), False),)
    modes = ("mixed",)  # both of them, by turns
    response_timeout = 60
    deadline_slack = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, weights: Path) -> Model:
        """The shallow model."""
        return fibonacci_model(ModelSettings(model=str(weights)))
