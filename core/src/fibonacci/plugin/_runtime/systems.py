"""What not every system has."""

import select

from fibonacci.errors import ConfigurationError


def require_poll(what: str) -> None:
    """Raise ConfigurationError where there is no ``select.poll``: Windows has none.

    For the hook of a backend that waits with it. ``what`` stands in the message, as in "backend
    'redis'".
    """
    if not hasattr(select, "poll"):
        raise ConfigurationError(
            f"{what} works on Linux, macOS and other POSIX systems alone: there is no select.poll "
            f"here. On Windows, run the program in WSL, or take backend 'memory'"
        )
