"""orjson, where it can be had: there is no wheel of it for some Pythons and machines.

Without it the standard library reads and writes the same values, only more slowly.
"""

import re
from types import ModuleType
from typing import Any, Final

LOWEST: Final = (3, 10, 7)
FIRST_UNSAFE: Final = (3, 12)
"""It crashes on a tuple that is very deep, or holds itself; so do all since."""


def find_orjson() -> ModuleType | None:
    """Return orjson; None where it is not installed, or in a version that we do not use."""
    try:
        import orjson
    except ImportError:
        return None
    version = tuple(map(int, re.findall(r"\d+", getattr(orjson, "__version__", ""))))
    return orjson if LOWEST <= version < FIRST_UNSAFE else None


def no_dumps(value: Any, default: Any = None, option: int = 0) -> bytes:
    """Refuse every value, as orjson does what it has no form for: it takes the other way."""
    raise TypeError("orjson is not installed")


orjson: Final = find_orjson()
dumps: Final = orjson.dumps if orjson else no_dumps


def option(*names: str) -> int:
    """Return the options of orjson's that are named, as one number."""
    return sum(getattr(orjson, f"OPT_PASSTHROUGH_{name}", 0) for name in names)
