"""Texts of a node that are no templates."""

from collections.abc import Mapping
from typing import Any

import attrs

from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.templating import Reference, Template


@attrs.frozen
class LiteralText:
    """A text that is meant as it stands; made by :func:`literal`."""

    text: str = attrs.field(repr=False)
    """What the model gets."""

    def __bool__(self) -> bool:
        """Say whether there is any text."""
        return bool(self.text)


def literal(text: str) -> LiteralText:
    """Return a ``prompt`` or ``system_prompt`` that is meant as it stands, whatever braces it has.

    No engine looks at it, so it takes no values. Where a text of yours is a part of a prompt, pass
    it as an input: what stands in a value is never looked through for templates. Raises
    WorkflowValidationError for what is no text.
    """
    if not isinstance(text, str):
        raise WorkflowValidationError(f"literal takes text, not {type(text).__name__}")
    return LiteralText(text)


class LiteralTemplate(Template):
    """Asks for nothing, and renders to its text."""

    references: tuple[Reference, ...] = ()

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, namespace: Mapping[str, Any]) -> str:
        return self._text
