"""What to do with a value that JSON has no form for."""

from collections.abc import Mapping
from typing import Final

_BY_MARK: Final = {
    "model_dump": 'use its .model_dump(mode="json")',
    "__dataclass_fields__": "use dataclasses.asdict() of it",
    "__attrs_attrs__": "use attrs.asdict() of it",
    "_member_map_": "use its .value",
}
"""By what a class of its kind has: a pydantic model, a dataclass, an attrs class, an Enum."""

_BY_NAME: Final = {
    "bytes": "encode it as text, in base64 for instance",
    "bytearray": "encode it as text, in base64 for instance",
    "memoryview": "encode it as text, in base64 for instance",
    "set": "make it a sorted list",
    "frozenset": "make it a sorted list",
    "date": "use its .isoformat()",
    "time": "use its .isoformat()",
    "timedelta": "use its .total_seconds()",
    "UUID": "use str() of it",
    "Decimal": "use str() of it",
    "Fraction": "use str() of it",
    "PurePath": "use str() of it",
    "UserString": "use str() of it",
    "DataFrame": 'use its .to_dict("records")',
}
"""By the name of a class that it is, or inherits from: a datetime is a date."""

_BY_METHOD: Final = {
    "tolist": "use its .tolist()",  # arrays and scalars of numpy, pandas, torch and the like
    "__await__": "await it",
    "keys": "use dict() of it",
    "__next__": "use list() of it",
    "__len__": "use list() of it",
}
"""By what it can do, where nothing else is known of it."""


def advice(kind: type) -> str:
    """Return it, to stand behind an error, if there is any; the value itself is not asked."""
    names = {base.__name__ for base in kind.__mro__}
    members = {name for base in kind.__mro__ for name in vars(base)}
    for table, known in ((_BY_MARK, members), (_BY_NAME, names), (_BY_METHOD, members)):
        if found := _first(table, known):
            return f": {found}"
    return ""


def _first(table: Mapping[str, str], known: set[str]) -> str | None:
    return next((text for name, text in table.items() if name in known), None)
