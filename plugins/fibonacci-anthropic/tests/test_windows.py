"""A system without forks has Claude as well."""

from windows import run_without_forks

from .conftest import KEY
from .wire import Wire, answer

PROGRAM = """
import sys
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

model = AnthropicModel("claude-x", api_key=sys.argv[1], base_url=sys.argv[2])
print(model.complete(ModelRequest(prompt="Hi")).text)
print(asyncio.run(model.acomplete(ModelRequest(prompt="Hi"))).text)
"""


def test_a_prompt_is_answered(wire: Wire) -> None:
    """in sync and async code."""
    wire.plays(answer("yes"), answer("yes"))
    assert run_without_forks(PROGRAM, KEY, wire.url) == "yes\nyes\n"
