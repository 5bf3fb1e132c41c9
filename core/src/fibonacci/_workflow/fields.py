"""What each field of a node or a workflow may be."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from fibonacci._workflow.literal import LiteralText
from fibonacci.errors import ConfigurationError, WorkflowValidationError
from fibonacci.plugin.models import Model

RESERVED: Final = ("input", "memory")
"""Names that a template gives to something else than a node."""

_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def check_id(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise WorkflowValidationError(
            "a node's id must be letters, digits, '_' or '-', with no digit or '-' first"
        )
    if value in RESERVED:
        raise WorkflowValidationError(f"a node can't have the id {value!r}: templates use it")


def check_text(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, str | LiteralText):
        raise _fault(node, f"{attribute.name} must be text, not {type(value).__name__}")


def check_optional_text(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None:
        check_text(node, attribute, value)


def check_model(node: Any, _: Any, value: Any) -> None:
    if not (isinstance(value, Model) or callable(value) or (isinstance(value, str) and value)):
        raise _fault(node, "model must be a model's name, a function, or a Model")
    if isinstance(value, type) and issubclass(value, Model):
        raise _fault(node, f"model is a class of models: make one, {value.__name__}(...)")


def check_function(node: Any, _: Any, value: Any) -> None:
    if not callable(value):
        raise _fault(node, f"function must be a function, not {type(value).__name__}")


def check_count(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if type(value) is not int or value < 1:
        raise _fault(node, f"{attribute.name} must be a whole number, 1 or more")


def check_temperature(node: Any, _: Any, value: Any) -> None:
    if value is not None and not (_is_number(value) and 0 <= value <= 2):
        raise _fault(node, "temperature must be a number from 0 to 2, or None")


OutputFormat = Literal["text", "json"]


def check_format(node: Any, _: Any, value: OutputFormat) -> None:
    if not isinstance(value, str) or value not in ("text", "json"):
        raise _fault(node, "output_format must be 'text' or 'json'")


def check_schema(node: Any, _: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise _fault(node, "output_schema must be a JSON Schema, as a dict")
    if node.output_format != "json":
        raise _fault(node, 'output_schema goes with output_format="json" alone')


def check_increments(node: Any) -> None:
    """Refuse to add text to a number: it would fail after the model was asked."""
    if node.output_format == "text" and any(one.mode == "increment" for one in node.memory_write):
        raise _fault(node, 'memory_write mode "increment" needs output_format="json"')


def check_timeout(node: Any, _: Any, value: Any) -> None:
    if not is_timeout(value):
        raise _fault(node, f"timeout must be {TIMEOUT_RULE}")


def check_names(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not all(isinstance(name, str) and name for name in value):
        raise _fault(node, f"{attribute.name} must be a list of texts that are not empty")


def optional_text(name: str, value: Any) -> str | None:
    """Return what a workflow was given, if it is text or None."""
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text or None, not {type(value).__name__}")
    return value


def optional_count(name: str, value: Any) -> int | None:
    """Return what a workflow was given, if it is a whole number of at least 1, or None."""
    if value is not None and (type(value) is not int or value < 1):
        raise ConfigurationError(f"{name} must be a whole number, 1 or more, or None")
    return value


def workflow_timeout(value: Any) -> float | None:
    """Return what a workflow was given, if it may be a timeout."""
    if not is_timeout(value):
        raise ConfigurationError(f"timeout must be {TIMEOUT_RULE}")
    seconds: float | None = value
    return seconds


TIMEOUT_RULE: Final = "a number of seconds over 0 and up to a day, or None"


def is_timeout(value: Any) -> bool:
    """Say whether it keeps the rule for timeouts."""
    return value is None or (_is_number(value) and 0 < value <= 86_400)


def several(given: Sequence[str]) -> Sequence[str]:
    """Several texts as a tuple, which nobody can change later; one text as a tuple of one."""
    return (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fault(node: Any, text: str) -> WorkflowValidationError:
    return WorkflowValidationError(f"node {node.id!r}: {text}")
