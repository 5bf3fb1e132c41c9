"""The template engine: compiles with Jinja, renders, and maps errors to TemplateError."""

from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, Final

from jinja2 import Template as JinjaCode
from jinja2 import TemplateSyntaxError, UndefinedError

from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine, Reference, Template
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_jinja.analysis import LITERAL_HINT, TemplateAnalyzer, literals
from fibonacci_jinja.generator import LookupCodeGenerator
from fibonacci_jinja.lexing import NEWLINE_STYLES, Newlines, column_of, normalize_newlines
from fibonacci_jinja.sandbox import Sandbox
from fibonacci_jinja.text import RefusedError, join_texts

_FILENAME: Final = "<fibonacci template>"


class JinjaTemplate(Template):
    """A template compiled to Python."""

    def __init__(
        self,
        code: JinjaCode,
        references: tuple[Reference, ...],
        literals: tuple[str, ...] | None,
        line_map: list[tuple[int, int]],
    ) -> None:
        self.references = references
        self.literals = literals
        self._code = code
        self._line_map = line_map
        """Lines of the template (with columns), and the code lines that begin there."""

    def render(self, namespace: Mapping[str, Any]) -> str:
        context = self._code.new_context({**namespace, "nodes": namespace}, shared=True)
        try:
            return join_texts(self._code.root_render_func(context))
        except TemplateError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a filter or an operator raises
            raise_for_signal(error)
            # Neither its text nor the error itself is passed on: they may quote a value.
            raise _template_error(_reason(error), self._template_line(error)) from None

    def _template_line(self, error: Exception) -> int:
        code_lines = [
            line
            for frame, line in walk_tb(error.__traceback__)
            if frame.f_code.co_filename == _FILENAME
        ]
        started = [
            line for line, code_line in self._line_map if code_lines and code_line <= code_lines[-1]
        ]
        return started[-1] if started else 1


class JinjaEngine(Engine):
    """Compiles templates, in one sandbox per style of newlines."""

    def __init__(self) -> None:
        self._sandboxes = {style: Sandbox(style) for style in NEWLINE_STYLES}

    def compile(self, source: str) -> Template:
        try:
            return self._compile(source)
        except TemplateSyntaxError as error:
            message = error.message or "this is not a template"
            stop = "" if message.endswith((".", "?")) else "."
            raise _template_error(f"{message}{stop} {LITERAL_HINT}", error.lineno) from None
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            raise_for_signal(error)
            message = f"too complex for Jinja to compile ({type(error).__name__}). {LITERAL_HINT}"
            raise _template_error(message, 1) from None

    def _compile(self, source: str) -> Template:
        newlines = Newlines.of(source)
        sandbox = self._sandboxes[newlines.style]
        source = newlines.hide(source)
        tree = sandbox.parse(source)
        newlines.restore(tree)
        analyzer = TemplateAnalyzer(sandbox, normalize_newlines(source))
        analyzer.visit(tree)
        generator = LookupCodeGenerator(sandbox, analyzer.lookups)
        code = compile(generator.generate(tree), _FILENAME, "exec")
        template = JinjaCode.from_code(sandbox, code, {})
        return JinjaTemplate(template, analyzer.references, literals(tree), generator.debug_info)


def _template_error(message: str, line: int) -> TemplateError:
    column = column_of(line)
    return TemplateError(f"line {line}, column {column}: {message}", line=int(line), column=column)


def _reason(error: Exception) -> str:
    if isinstance(error, RefusedError):
        return str(error)
    if isinstance(error, UndefinedError):
        return (
            "undefined value: an item of an empty list, or a key that a filter looks up. Provide a "
            "default: | default(...), or default=..."
        )
    return f"this operation is not possible with these values ({type(error).__name__})"
