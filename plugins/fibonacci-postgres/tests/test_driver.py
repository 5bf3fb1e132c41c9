"""Importing psycopg: the error if it can't be imported."""

import runpy
import sys

import pytest

from fibonacci.errors import PluginLoadError
from fibonacci_postgres import driver


@pytest.mark.parametrize("gone", ["psycopg", "psycopg.pq.abc"])
def test_missing_psycopg_is_reported(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """A missing psycopg, or a missing part of it, is a PluginLoadError with instructions."""
    monkeypatch.setitem(sys.modules, gone, None)
    with pytest.raises(PluginLoadError) as caught:
        runpy.run_path(driver.__file__)
    assert str(caught.value) == (
        f"backend 'postgres': psycopg can't be imported: import of {gone} halted; None in "
        "sys.modules. Reinstall it: pip install --force-reinstall 'psycopg[binary]'; on a platform "
        "without a binary wheel, install psycopg and the system's libpq"
    )
