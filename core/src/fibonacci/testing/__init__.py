"""For tests of an app, and conformance suites for plugins.

Test an app with :func:`fresh_memory`, :func:`override_model` and :class:`ScriptedModel`, in any
test runner.

A conformance suite checks whether a plugin keeps its contract::

    from fibonacci.testing import StoreContract

    class TestShelf(StoreContract):
        backend = "shelf"
        url = "shelf:///tmp/x"

``EngineContract`` is for template engines (``engine = "mustache"``), ``CipherContract`` for ciphers
(``cipher = "box"``), and ``ProviderContract`` for models (``model = "parrot:grey"``).

The suites need pytest and hypothesis: ``pip install 'fibonacci-core[testing]'``.
``pytest --fibonacci-report`` adds a table of the contract's clauses, and whether each was kept.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fibonacci.testing.doubles import ScriptedModel, fresh_memory, override_model

if TYPE_CHECKING:
    from fibonacci.testing.cipher import CipherContract
    from fibonacci.testing.engine import EngineContract
    from fibonacci.testing.provider import ProviderContract
    from fibonacci.testing.store import StoreContract

__all__ = [
    "CipherContract",
    "EngineContract",
    "ProviderContract",
    "ScriptedModel",
    "StoreContract",
    "fresh_memory",
    "override_model",
]


def __getattr__(name: str) -> Any:
    # Lazily: tests of an app need neither pytest nor hypothesis, and must not import them.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = f"fibonacci.testing.{name.removesuffix('Contract').lower()}"
    try:
        return getattr(import_module(package), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fibonacci"):
            raise
        raise ModuleNotFoundError(
            f"fibonacci.testing.{name} needs the package {error.name}. "
            f"Install it: pip install 'fibonacci-core[testing]'",
            name=error.name,
        ) from error
