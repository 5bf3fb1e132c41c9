"""The plugin on a system without os.fork."""

from windows import run_without_forks

from .conftest import KEY
from .fake_service import FakeService, response

PROGRAM = """
import sys
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

model = AnthropicModel("claude-x", api_key=sys.argv[1], base_url=sys.argv[2])
print(model.complete(ModelRequest(prompt="Hi")).text)
print(asyncio.run(model.acomplete(ModelRequest(prompt="Hi"))).text)
"""


def test_model_works_without_fork(service: FakeService) -> None:
    """A model completes in sync and async code on a system without os.fork."""
    service.add_replies(response("yes"), response("yes"))
    assert run_without_forks(PROGRAM, KEY, service.url) == "yes\nyes\n"
