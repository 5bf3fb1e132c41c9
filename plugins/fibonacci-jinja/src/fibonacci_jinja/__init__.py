"""Jinja as the template engine of Fibonacci's workflows: ``Workflow(templating="jinja")``."""

from fibonacci.plugin import Engine, EngineSettings, hookimpl
from fibonacci_jinja.engine import JinjaEngine

__all__ = ["JinjaEngine"]

FIBONACCI_SPEC_VERSION = 1


@hookimpl
def fibonacci_templating(settings: EngineSettings) -> Engine:
    """Return the template engine."""
    return JinjaEngine()
