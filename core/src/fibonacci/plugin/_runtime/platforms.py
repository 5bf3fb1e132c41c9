"""What Fibonacci needs from Python and the system: no late patches, and ``select.poll``."""

import select
import sys
from collections.abc import Sequence
from typing import Any, Final

from fibonacci.errors import ConfigurationError

_PARTS: Final = ("queue", "select", "socket", "ssl", "threading", "time")
"""The modules that wait, by gevent's names."""


def _patcher(name: str) -> Any:
    return sys.modules.get(name)


def _by_gevent() -> Sequence[str]:
    monkey = _patcher("gevent.monkey")
    return [] if monkey is None else [part for part in _PARTS if monkey.is_module_patched(part)]


def _by_eventlet() -> bool:
    patcher = _patcher("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("socket"))


_AT_IMPORT: Final = bool(_by_gevent()) or _by_eventlet()
"""Whether Python was patched before this import. Our modules take locks and queues when they are
imported: only if those are patched do greenlets wait for each other, instead of stopping all."""


def refuse_late_patches() -> None:
    """Raise ConfigurationError if a greenlet that waits would stop all the others."""
    if "gevent.monkey" not in sys.modules and "eventlet.patcher" not in sys.modules:
        return  # fast: each run of a workflow calls this
    parts, eventlet = _by_gevent(), _by_eventlet()
    if not parts and not eventlet:
        return
    name = "gevent" if parts else "eventlet"
    if not _AT_IMPORT:
        raise ConfigurationError(
            f"{name} has patched Python after fibonacci was imported: a greenlet that waits would "
            f"stop all others. Patch before all other imports; with gunicorn, don't use --preload"
        )
    missing = [part for part in _PARTS if part not in parts]
    if parts and missing:
        raise ConfigurationError(
            f"gevent has patched Python without {', '.join(missing)}: a greenlet that waits would "
            f"stop all others. Call gevent.monkey.patch_all() without exclusions"
        )


def refuse_eventlet() -> None:
    """Raise ConfigurationError if eventlet has patched Python: it has no ``select.poll``."""
    if _by_eventlet():
        raise ConfigurationError(
            "a store on a server can't keep its deadlines under eventlet, which has no select.poll:"
            " use threads (gunicorn -k gthread, celery -P threads), or gevent"
        )


def require_poll(backend: str) -> None:
    """Refuse a system without ``select.poll``, before anything connects.

    Raises ConfigurationError.
    """
    if not hasattr(select, "poll"):
        raise ConfigurationError(
            f"backend {backend!r} can't work here: this Python has no select.poll, which Windows "
            f"lacks and eventlet removes. Use Linux, macOS or WSL, or another backend"
        )
