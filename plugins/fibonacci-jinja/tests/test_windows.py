"""The plugin on a system without os.fork."""

from windows import run_without_forks

PROGRAM = """
from fibonacci_jinja import JinjaEngine
print(JinjaEngine().compile("{{ input.x | upper }}").render({"input": {"x": "text"}}))
"""


def test_engine_works_without_fork() -> None:
    """A template is rendered on a system without os.fork."""
    assert run_without_forks(PROGRAM) == "TEXT\n"
