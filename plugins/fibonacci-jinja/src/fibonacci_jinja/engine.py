"""The engine: compiles by Jinja, renders, and says what went wrong in our own words."""

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, Final

from jinja2 import Template as JinjaCode
from jinja2 import TemplateSyntaxError, UndefinedError

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine, Reference, Template
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_jinja.environment import Sandbox
from fibonacci_jinja.generator import Generator
from fibonacci_jinja.newlines import STYLES, Newlines
from fibonacci_jinja.places import column, normalized
from fibonacci_jinja.reading import Reader, literals
from fibonacci_jinja.refusals import PLAIN
from fibonacci_jinja.text import RefusedError, joined

_NAME: Final = "<fibonacci template>"


class JinjaTemplate(Template):
    """A template that was compiled to Python."""

    def __init__(
        self,
        code: JinjaCode,
        references: tuple[Reference, ...],
        literals: tuple[str, ...] | None,
        places: list[tuple[int, int]],
    ) -> None:
        self.references = references
        self.literals = literals
        self._code = code
        self._places = places
        """Lines of the template (with columns), and those of the code that begin there."""

    def render(self, namespace: Mapping[str, Any]) -> str:
        context = self._code.new_context({**namespace, "nodes": namespace}, shared=True)
        try:
            return joined(self._code.root_render_func(context))
        except TemplateError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a filter or an operator raises
            raise_for_signal(fault)
            # Its text stays out, and the fault too: it may quote a value.
            raise _error(_reason(fault), self._line(fault)) from None

    def _line(self, fault: Exception) -> int:
        codes = [
            line
            for frame, line in walk_tb(fault.__traceback__)
            if frame.f_code.co_filename == _NAME
        ]
        begun = [line for line, code in self._places if codes and code <= codes[-1]]
        return begun[-1] if begun else 1


class JinjaEngine(Engine):
    """Compiles templates, in one sandbox for each style of newlines."""

    def __init__(self) -> None:
        self._sandboxes = {newline: Sandbox(newline) for newline in STYLES}

    def compile(self, source: str) -> Template:
        try:
            return self._compile(source)
        except TemplateSyntaxError as fault:
            told = fault.message or "this is no template"
            stop = "" if told.endswith((".", "?")) else "."
            raise _error(f"{told}{stop} {PLAIN}", fault.lineno) from None
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as fault:
            raise_for_signal(fault)
            told = f"this is more than Jinja can compile ({type(fault).__name__}). {PLAIN}"
            raise _error(told, 1) from None

    def _compile(self, source: str) -> Template:
        newlines = Newlines.of(source)
        sandbox = self._sandboxes[newlines.style]
        source = newlines.hide(source)
        tree = sandbox.parse(source)
        newlines.restore(tree)
        reader = Reader(sandbox, normalized(source))
        reader.visit(tree)
        generator = Generator(sandbox, reader.ways)
        code = compile(generator.code(tree), _NAME, "exec")
        template = JinjaCode.from_code(sandbox, code, {})
        return JinjaTemplate(template, reader.references, literals(tree), generator.debug_info)


def _error(told: str, line: int) -> TemplateError:
    start = column(line)
    return TemplateError(f"line {line}, column {start}: {told}", line=int(line), column=start)


def _reason(fault: Exception) -> str:
    if isinstance(fault, RefusedError):
        return str(fault)
    if isinstance(fault, UndefinedError):
        return (
            "something that is asked for is not there: an item of an empty list, or a key that a "
            "filter looks for. Give it a value: | default(...), or default=..."
        )
    return f"this can't be done with the values that it is given ({type(fault).__name__})"
