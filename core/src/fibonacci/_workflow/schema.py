"""Holding an answer in JSON against a JSON Schema (https://json-schema.org)."""

from collections.abc import Callable, Mapping
from typing import Any

from fibonacci.errors import ModelError, WorkflowValidationError

Check = Callable[[Any], None]
"""Raises ModelError, which another attempt may mend, where a value does not fit."""


def make_check(schema: Mapping[str, Any]) -> Check:
    """Return the check for a schema; without ``$schema`` it is read as of draft 2020-12.

    Raises WorkflowValidationError where it is no schema, or jsonschema is not installed.
    """
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.exceptions import Unresolvable
    except ModuleNotFoundError:
        raise WorkflowValidationError(
            "output_schema needs the package jsonschema. "
            "Install it: pip install 'fibonacci-core[schema]'"
        ) from None
    plain = dict(schema)
    kind = validator_for(plain, default=Draft202012Validator)
    try:
        kind.check_schema(plain)
    except SchemaError as fault:
        raise WorkflowValidationError(
            f"output_schema is no JSON Schema: {fault.json_path}: {fault.message}"
        ) from None
    # A registry of our own: the default one would fetch what a $ref points to.
    validator = kind(plain, registry=Registry())

    def check(value: Any) -> None:
        try:
            fault = next(validator.iter_errors(value), None)
        except Unresolvable as reference:
            raise ModelError(
                f"output_schema refers to {reference.ref!r}, which is not in it"
            ) from None
        if fault is not None:
            # Not its message: that quotes the answer.
            raise ModelError(
                f"the answer does not fit output_schema: {fault.json_path} breaks its "
                f"rule {fault.validator!r}",
                retryable=True,
            )

    return check
