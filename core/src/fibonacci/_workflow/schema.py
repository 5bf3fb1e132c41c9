"""Holding an answer in JSON against a JSON Schema (https://json-schema.org)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fibonacci.errors import ModelError, WorkflowValidationError

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Check = Callable[[Any], None]
"""Raises ModelError, which another attempt may mend, where a value does not fit."""


def make_check(schema: Mapping[str, Any]) -> Check:
    """Return the check for a schema; without ``$schema`` it is read as of draft 2020-12.

    Raises WorkflowValidationError where it is no schema, or jsonschema is not installed.
    """
    validator = _validator(dict(schema))
    from referencing.exceptions import Unresolvable

    def check(value: Any) -> None:
        try:
            fault = next(validator.iter_errors(value), None)
        except RecursionError:
            raise ModelError("output_schema refers to itself without end") from None
        except Unresolvable as reference:
            raise ModelError(
                f"output_schema refers to {reference.ref!r}, which is not in it"
            ) from None
        if fault is not None:
            # Not its message: that quotes the answer.
            raise ModelError(
                f"the answer does not fit output_schema: {_place(fault)} breaks its "
                f"rule {fault.validator!r}",
                retryable=True,
            )

    return check


def _place(fault: "ValidationError") -> str:
    """Where in the answer: names that the schema says, and ``*`` for those that only it says."""
    said = set(fault.absolute_schema_path)
    parts = (one if isinstance(one, int) or one in said else "*" for one in fault.absolute_path)
    return "$" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in parts)


def _validator(schema: dict[str, Any]) -> "Validator":
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ModuleNotFoundError:
        raise WorkflowValidationError(
            "output_schema needs the package jsonschema. "
            "Install it: pip install 'fibonacci-core[schema]'"
        ) from None
    if not isinstance(schema.get("$schema", ""), str):  # jsonschema would raise whatever comes
        raise WorkflowValidationError("output_schema is no JSON Schema: $.$schema must be text")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as fault:
        raise WorkflowValidationError(
            f"output_schema is no JSON Schema: {fault.json_path}: {fault.message}"
        ) from None
    # A registry of our own: the default one would fetch what a $ref points to.
    return kind(schema, registry=Registry())
