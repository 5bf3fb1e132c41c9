import importlib
from collections.abc import Iterator

import pytest

from fibonacci.plugin import ModelRequest
from fibonacci.testing import ProviderContract
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY
from .echo_service import BUSY, ENDLESS, REFUSED, SLOW, echo
from .fake_service import FakeService


@pytest.fixture(scope="module")
def service() -> Iterator[FakeService]:
    """A service that repeats each prompt."""
    with FakeService(respond=echo) as service:
        yield service


class TestAnthropic(ProviderContract):
    endless_request = ModelRequest(prompt=ENDLESS)
    slow_request = ModelRequest(prompt=SLOW)
    failing_requests = ((ModelRequest(prompt=REFUSED), False), (ModelRequest(prompt=BUSY), True))
    secrets = (KEY,)
    response_timeout = 60
    deadline_slack = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, service: FakeService) -> AnthropicModel:
        """A model of that service; the SDK is imported before, as that takes seconds."""
        importlib.import_module("anthropic")
        return AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
