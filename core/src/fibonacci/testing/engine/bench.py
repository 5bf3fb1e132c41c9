"""The bench that an engine is tested on: what to test, and how its templates are written."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from fibonacci._discovery import find_plugin
from fibonacci.plugin import Engine, EngineSettings


class Bench:
    """What a contract's class may set, and the tools of its tests."""

    engine: str | Engine
    """The engine's name, as users write it; or an Engine."""

    opening: ClassVar[str] = "{{ "
    """What stands before a name."""
    closing: ClassVar[str] = " }}"
    """What stands behind it."""
    special: ClassVar[str] = "{}"
    """Characters that text may not hold without a meaning."""
    literals: ClassVar[Mapping[str, str]] = {'{{ "{{" }}': "{{", '{{ "}}" }}': "}}"}
    """How a template says what else has a meaning, and what comes of it."""
    malformed: ClassVar[Sequence[str]] = ("{{ }}", "{{ input. }}", "{{ input..x }}", "{{ x y }}")
    """Texts that are no templates."""

    fibonacci_contract: ClassVar[str] = "EngineContract"

    @pytest.fixture(scope="class")
    @classmethod
    def compiler(cls) -> Engine:
        """The engine under test."""
        if isinstance(cls.engine, Engine):
            return cls.engine
        engine: Engine = find_plugin("templating", cls.engine).ask(
            EngineSettings(name=cls.engine), Engine
        )
        return engine

    def at(self, name: str) -> str:
        """Return the place of a value, as this engine writes it."""
        return f"{self.opening}{name}{self.closing}"

    def shown(self, compiler: Engine, name: str, **namespace: Any) -> str:
        """Return what stands in the text for a name; ``input`` and ``memory`` are there."""
        template = compiler.compile(f"<{self.at(name)}>")
        text = template.render({"input": {}, "memory": {}, **namespace})
        assert text[0] + text[-1] == "<>"
        return text[1:-1]
