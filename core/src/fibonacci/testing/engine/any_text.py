"""Any text and any value, as hypothesis makes them up."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as some

from fibonacci.plugin import Engine, render_value
from fibonacci.testing.engine.bench import Bench

_TEXT: Final = some.text(some.characters(exclude_categories=["Cs"]))
_NUMBER: Final = some.integers() | some.floats(allow_nan=False, allow_infinity=False)
_VALUE: Final = some.recursive(
    some.none() | some.booleans() | _NUMBER | _TEXT,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=10,
)
_many: Final = settings(deadline=None, database=None)


class AnyText(Bench):
    """C27, of everything. Inner functions, as each subclass is a test of its own to hypothesis."""

    def test_any_text(self, compiler: Engine) -> None:
        """Any text without a special character is a template of itself (C27)."""

        @_many
        @given(text=self._meaningless())
        def check(text: str) -> None:
            template = compiler.compile(text)
            assert template.render({"input": {}, "memory": {}}) == text
            assert template.references == ()

        check()

    def test_any_text_as_value(self, compiler: Engine) -> None:
        """Any text arrives as it is, wherever it stands (C27)."""

        @_many
        @given(value=_TEXT, before=self._meaningless(), behind=self._meaningless())
        def check(value: str, before: str, behind: str) -> None:
            source = f"{before}{self.at('input.x')}{behind}{self.at('memory.y')}"
            rendered = compiler.compile(source).render(
                {"input": {"x": value}, "memory": {"y": value}}
            )
            assert rendered == f"{before}{value}{behind}{value}"

        check()

    def test_any_value(self, compiler: Engine) -> None:
        """Any value that JSON has a form for stands in that form (C27)."""

        @_many
        @given(value=_VALUE)
        def check(value: Any) -> None:
            assert self.shown(compiler, "node", node=value) == render_value(value)
            assert self.shown(compiler, "memory.x.0", memory={"x": [value]}) == render_value(value)

        check()

    def _meaningless(self) -> some.SearchStrategy[str]:
        special = dict.fromkeys(map(ord, self.special))
        return _TEXT.map(lambda text: text.translate(special))
