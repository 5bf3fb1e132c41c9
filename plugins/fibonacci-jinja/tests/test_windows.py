"""A system without forks has templates as well."""

from windows import run_without_forks

PROGRAM = """
from fibonacci_jinja import JinjaEngine
print(JinjaEngine().compile("{{ input.x | upper }}").render({"input": {"x": "text"}}))
"""


def test_a_template_is_rendered() -> None:
    """As everywhere."""
    assert run_without_forks(PROGRAM) == "TEXT\n"
