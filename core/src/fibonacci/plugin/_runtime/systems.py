"""What a backend needs of the system beneath Python."""

import select

from fibonacci.errors import ConfigurationError


def require_poll(backend: str) -> None:
    """Refuse a system without ``select.poll``, before anything is connected.

    Raises ConfigurationError.
    """
    if not hasattr(select, "poll"):
        raise ConfigurationError(
            f"backend {backend!r} can't work here: this Python has no select.poll, which Windows "
            f"lacks and eventlet takes away. Take Linux, macOS or WSL, or another backend"
        )
