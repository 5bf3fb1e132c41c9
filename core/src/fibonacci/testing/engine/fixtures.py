"""What a test of a template engine works with."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from fibonacci._discovery import find_plugin
from fibonacci.plugin import Engine, EngineSettings


class ContractFixtures:
    """What a contract's class may set, and the tools of its tests."""

    engine: str | Engine
    """The engine's name, as users write it; or an Engine."""

    reference_start: ClassVar[str] = "{{ "
    """The start of a reference, before the name."""
    reference_end: ClassVar[str] = " }}"
    """The end of a reference, after the name."""
    special_characters: ClassVar[str] = "{}"
    """Characters that have a meaning in a template."""
    escapes: ClassVar[Mapping[str, str]] = {'{{ "{{" }}': "{{", '{{ "}}" }}': "}}"}
    """Templates that escape special characters, and the text that they render."""
    invalid_templates: ClassVar[Sequence[str]] = (
        "{{ }}",
        "{{ input. }}",
        "{{ input..x }}",
        "{{ x y }}",
    )
    """Invalid templates."""

    fibonacci_contract: ClassVar[str] = "EngineContract"

    @pytest.fixture(scope="class")
    @classmethod
    def compiler(cls) -> Engine:
        """The engine under test."""
        if isinstance(cls.engine, Engine):
            return cls.engine
        engine: Engine = find_plugin("templating", cls.engine).call_hook(
            EngineSettings(name=cls.engine), Engine
        )
        return engine

    def at(self, name: str) -> str:
        """Return a reference, as this engine writes it."""
        return f"{self.reference_start}{name}{self.reference_end}"

    def shown(self, compiler: Engine, name: str, **namespace: Any) -> str:
        """Return the rendered text of a reference; the namespace has ``input`` and ``memory``."""
        template = compiler.compile(f"<{self.at(name)}>")
        text = template.render({"input": {}, "memory": {}, **namespace})
        assert text[0] + text[-1] == "<>"
        return text[1:-1]
