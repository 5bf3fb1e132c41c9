"""Template engines with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``test`` is the one that has to catch it.
"""

import html
import json
import time
from contextlib import suppress

import attrs

from fibonacci._builtin import template_engine
from fibonacci._builtin.template_engine import BuiltinEngine
from fibonacci.errors import TemplateError
from fibonacci.plugin import Template, get_child, missing_value_error

BROKEN = {}
MISSING = object()


def broken(test):
    """Register an engine."""

    def enter(engine):
        engine.test = test
        BROKEN[engine.__name__] = engine
        return engine

    return enter


class Wrapped(Template):
    """A sound template, to be broken."""

    def __init__(self, template):
        self.template = template
        self.references = template.references

    def render(self, namespace):
        return self.template.render(namespace)


def insides(wrapped):
    """Return the parts and the slots of the sound template."""
    assert isinstance(wrapped.template, template_engine.BuiltinTemplate)
    return wrapped.template._parts, wrapped.template._slots


class Soft(BuiltinEngine):
    """A sound engine whose templates call ``find`` for each value, and ``write`` for its text."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        parts, slots = insides(wrapped)

        def render(namespace):
            filled = parts.copy()
            for index, _, _, reference in slots:
                filled[index] = self.write(self.find(namespace, reference), reference)
            return "".join(filled)

        wrapped.render = render
        return wrapped

    find = staticmethod(template_engine._find)
    write = staticmethod(template_engine._render_value)


@broken("test_value_is_no_template")
class RendersTwice(BuiltinEngine):
    """The output is rendered as a template again."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        once = wrapped.template.render

        def render(namespace):
            text = once(namespace)
            try:
                return super(RendersTwice, self).compile(text).render(namespace)
            except TemplateError:
                return text

        wrapped.render = render
        return wrapped


@broken("test_text")
class StripsTheLastNewline(BuiltinEngine):
    """A newline at the end of a text is dropped."""

    def compile(self, source):
        return super().compile(source.removesuffix("\n"))


@broken("test_text_around_a_value")
class MakesNewlinesAlike(BuiltinEngine):
    """Each newline becomes LF."""

    def compile(self, source):
        return super().compile("\n".join(source.splitlines()))


@broken("test_no_attribute")
class ReachesAttributes(Soft):
    """A missing key is looked up among methods and attributes."""

    def find(self, namespace, reference):
        value = namespace
        for key in (reference.root, *reference.path):
            found = get_child(value, key, value)
            value = getattr(value, str(key), value) if found is value else found
            if callable(value):
                return repr(value)
        return template_engine._find(namespace, reference)


@broken("test_key_named_like_a_method")
class PrefersAttributes(Soft):
    """A method takes precedence over the key of its name."""

    def find(self, namespace, reference):
        *before, last = (reference.root, *reference.path)
        value = namespace
        for key in before:
            value = get_child(value, key, "")
        found = getattr(value, str(last), None) if reference.path else None
        return repr(found) if found else template_engine._find(namespace, reference)


@broken("test_case")
class FoldsNames(BuiltinEngine):
    """Names are compared case-insensitively."""

    def compile(self, source):
        return super().compile(source.replace("memory.A", "memory.a"))


@broken("test_digits")
class IndexesOnly(Soft):
    """A number is not a key of a mapping."""

    def find(self, namespace, reference):
        value = namespace
        for key in (reference.root, *reference.path):
            if isinstance(value, dict) and isinstance(key, int):
                return ""
            value = get_child(value, key)
        return template_engine._find(namespace, reference)


@broken("test_value_form")
class WritesPython(Soft):
    """Containers are written as by Python's str."""

    def write(self, value, reference):
        return (
            str(value)
            if isinstance(value, list | dict)
            else template_engine._render_value(value, reference)
        )


@broken("test_value_form")
class EscapesCharacters(Soft):
    """Characters beyond ASCII are escaped within JSON."""

    def write(self, value, reference):
        text = template_engine._render_value(value, reference)
        return (
            text if isinstance(value, str) else json.dumps(json.loads(text), separators=(",", ":"))
        )


@broken("test_value_is_no_template")
class EscapesForHTML(Soft):
    """Text is escaped for HTML."""

    def write(self, value, reference):
        return html.escape(template_engine._render_value(value, reference))


@broken("test_value_without_json_form")
class WritesAnything(Soft):
    """What JSON can't represent is written as by Python's repr."""

    def write(self, value, reference):
        try:
            return template_engine._render_value(value, reference)
        except TemplateError:
            return repr(value)


@broken("test_missing_input")
class MissingInputIsEmpty(Soft):
    """A missing input renders as empty text."""

    def find(self, namespace, reference):
        try:
            return template_engine._find(namespace, reference)
        except TemplateError:
            return ""


@broken("test_missing_in_memory")
class MissingMemoryRaises(Soft):
    """A missing memory value raises."""

    def find(self, namespace, reference):
        value = namespace
        for key in (reference.root, *reference.path):
            value = get_child(value, key, MISSING)
        if value is MISSING:
            raise missing_value_error(
                reference.name, (), line=reference.line, column=reference.column
            )
        return value


@broken("test_falsy_values")
class FalsyIsMissing(Soft):
    """Falsy values count as missing."""

    def find(self, namespace, reference):
        return template_engine._find(namespace, reference) or ""


@broken("test_missing_input")
class QuotesValues(BuiltinEngine):
    """The error quotes the namespace."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        sound = wrapped.template.render

        def render(namespace):
            try:
                return sound(namespace)
            except TemplateError as error:
                error.args = (f"{error} There is: {namespace}",)
                raise

        wrapped.render = render
        return wrapped


@broken("test_repeated_reference")
class ReportsOnce(BuiltinEngine):
    """A name that appears twice is reported once."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        wrapped.references = tuple({one.name: one for one in wrapped.references}.values())
        return wrapped


@broken("test_all_references")
class CountsColumnsFromZero(BuiltinEngine):
    """The first column is 0."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        wrapped.references = tuple(
            attrs.evolve(one, column=one.column - 1) for one in wrapped.references
        )
        return wrapped


@broken("test_reference_types")
class IndexesAreText(BuiltinEngine):
    """An index is reported as text."""

    def compile(self, source):
        wrapped = Wrapped(super().compile(source))
        wrapped.references = tuple(
            attrs.evolve(one, path=tuple(map(str, one.path))) for one in wrapped.references
        )
        return wrapped


@broken("test_unclosed_reference")
class KeepsUnclosedReferences(BuiltinEngine):
    """An unclosed reference is text."""

    def compile(self, source):
        try:
            return super().compile(source)
        except TemplateError as error:
            if "never closed" in str(error):
                return super().compile(source.replace("{{", "{"))
            raise


@broken("test_invalid_template")
class KeepsInvalidTemplates(BuiltinEngine):
    """An invalid template is text."""

    def compile(self, source):
        try:
            return super().compile(source)
        except TemplateError as error:
            if "never closed" in str(error):
                raise
            return super().compile(source.replace("{{", "{"))


@broken("test_render_in_threads")
class FillsInPlace(Soft):
    """The values are written into the shared template."""

    def compile(self, source):
        wrapped = super().compile(source)
        parts, slots = insides(wrapped)

        def render(namespace):
            for index, _, _, reference in slots:
                parts[index] = self.write(self.find(namespace, reference), reference)
                time.sleep(0)
            return "".join(parts)

        wrapped.render = render
        return wrapped


@broken("test_namespace_is_not_changed")
class MakesWhatIsMissing(Soft):
    """Lookup creates the items of a defaultdict."""

    def find(self, namespace, reference):
        value = namespace
        for key in (reference.root, *reference.path):
            with suppress(KeyError, IndexError, TypeError):
                value = value[key]
        return template_engine._find(namespace, reference)


@broken("test_renderings_are_independent")
class RemembersValues(Soft):
    """A missing value renders as it did the last time."""

    def compile(self, source):
        wrapped, seen = super().compile(source), {}
        template = wrapped.template

        def render(namespace):
            seen.update(namespace["memory"])
            return template.render({**namespace, "memory": seen})

        wrapped.render = render
        return wrapped
