"""orjson, if it is installed: it has no wheels for some Pythons and machines.

Without it the standard library reads and writes the same values, but more slowly.
"""

import re
from types import ModuleType
from typing import Any, Final

LOWEST: Final = (3, 10, 7)
FIRST_UNSAFE: Final = (3, 12)
"""From this version on it crashes on a tuple that is nested very deeply, or contains itself."""


def find_orjson() -> ModuleType | None:
    """Return orjson; None if it is not installed, or if its version is not supported."""
    try:
        import orjson
    except ImportError:
        return None
    version = tuple(map(int, re.findall(r"\d+", getattr(orjson, "__version__", ""))))
    return orjson if LOWEST <= version < FIRST_UNSAFE else None


def no_dumps(value: Any, default: Any = None, option: int = 0) -> bytes:
    """Raise the TypeError of orjson's ``dumps``, so that the caller uses the standard library."""
    raise TypeError("orjson is not installed")


orjson: Final = find_orjson()
dumps: Final = orjson.dumps if orjson else no_dumps


def option(*names: str) -> int:
    """Return orjson's options with these names, as one number."""
    return sum(getattr(orjson, f"OPT_PASSTHROUGH_{name}", 0) for name in names)
