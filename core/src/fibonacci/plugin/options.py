"""A backend's own options: from the URL's query and from ``MemoryConfig(options=...)``."""

from collections.abc import Callable, Mapping
from typing import Any

from fibonacci.errors import ConfigurationError
from fibonacci.plugin._runtime.errors import did_you_mean, without_frames
from fibonacci.plugin.storage import StoreSettings

Reader = Callable[[Any], Any]
"""Takes an option as the user wrote it (from a URL always text) and returns its value, or raises
ValueError with the rule that it breaks. The message must not hold the value: it may be secret."""


def read_options(
    settings: StoreSettings,
    readers: Mapping[str, Reader],
    foreign_options: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the options of the URL and the settings, converted and checked.

    ``foreign_options`` maps options of other tools to what to write instead: "write …".

    Raises ConfigurationError if an option is unknown, breaks its rule, or has two values.
    """
    try:
        return _read_all(settings, readers, foreign_options or {})
    except ConfigurationError as caught:
        error = without_frames(caught)
    raise error


def bool_option(value: Any) -> bool:
    """Convert true or false, as a bool or as text. Raises ValueError."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(value == "true")


def int_option(value: Any) -> int:
    """Convert a whole number, 0 or more, as an int or as digits. Raises ValueError."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("must be a whole number, 0 or more")


def text_option(value: Any) -> str:
    """Return text that is not empty. Raises ValueError."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be text, and not empty")
    return value


def _read_all(
    settings: StoreSettings, readers: Mapping[str, Reader], foreign_options: Mapping[str, str]
) -> dict[str, Any]:
    query = settings.url.query if settings.url else {}
    for name in (*query, *settings.options):
        if name not in readers and name in foreign_options:
            raise ConfigurationError(f"the backend has no option {name!r}: {foreign_options[name]}")
    found = {name: _read(name, value, readers) for name, value in query.items()}
    for name, raw_value in settings.options.items():
        value = _read(name, raw_value, readers)
        if found.setdefault(name, value) != value:
            raise ConfigurationError(
                f"option {name!r} has one value in the connection URL and another in options: "
                f"give it once"
            )
    return found


def _read(name: str, value: Any, readers: Mapping[str, Reader]) -> Any:
    if name not in readers:
        known = f"It takes {', '.join(sorted(readers))}." if readers else "It takes none."
        raise ConfigurationError(
            f"the backend has no option {name!r}.{did_you_mean(name, readers)} {known}"
        )
    try:
        return readers[name](value)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"option {name!r} {error}") from None
