"""Conformance suites: what a plugin has to keep, as tests that anyone can run.

::

    from fibonacci.testing import StoreContract

    class TestShelf(StoreContract):
        backend = "shelf"
        url = "shelf:///tmp/x"

Template engines have ``EngineContract``, which asks for ``engine = "mustache"``; ciphers have
``CipherContract``, which asks for ``cipher = "box"``; models have ``ProviderContract``, which asks
for ``model = "parrot:grey"``.

It needs pytest and hypothesis: ``pip install 'fibonacci-core[testing]'``.
``pytest --fibonacci-report`` adds a table of the clauses and how each was kept.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fibonacci.testing.cipher import CipherContract
    from fibonacci.testing.engine import EngineContract
    from fibonacci.testing.provider import ProviderContract
    from fibonacci.testing.store import StoreContract

__all__ = ["CipherContract", "EngineContract", "ProviderContract", "StoreContract"]


def __getattr__(name: str) -> Any:
    # Lazily: pytest imports this package at every start, for the plugin, and must not pay for
    # hypothesis where nobody tests a plugin.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    package = f"fibonacci.testing.{name.removesuffix('Contract').lower()}"
    return getattr(import_module(package), name)
