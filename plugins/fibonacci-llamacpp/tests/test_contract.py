from pathlib import Path

import pytest

from fibonacci.plugin import Model, ModelRequest, ModelSettings
from fibonacci.testing import ProviderContract
from fibonacci_llamacpp import fibonacci_model

from .model_requests import ENDLESS, SENTENCE


class TestLlamacpp(ProviderContract):
    request = SENTENCE
    endless_request = slow_request = ENDLESS
    failing_requests = ((ModelRequest(prompt="words and " * 3_000), False),)
    modes = ("mixed",)  # sync and async calls alternate
    response_timeout = 60
    deadline_slack = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, weights: Path) -> Model:
        """The shallow model."""
        return fibonacci_model(ModelSettings(model=str(weights)))
