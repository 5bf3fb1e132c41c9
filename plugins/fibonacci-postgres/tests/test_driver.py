"""A psycopg that can't be imported: said in words, with the way out."""

import runpy
import sys

import pytest

from fibonacci.errors import PluginLoadError
from fibonacci_postgres import driver


@pytest.mark.parametrize("gone", ["psycopg", "psycopg.pq.abc"])
def test_a_driver_that_is_gone(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    """All of it, or a part."""
    monkeypatch.setitem(sys.modules, gone, None)
    with pytest.raises(PluginLoadError) as caught:
        runpy.run_path(driver.__file__)
    assert str(caught.value) == (
        f"backend 'postgres': psycopg can't be imported: import of {gone} halted; None in "
        "sys.modules. Reinstall it: pip install --force-reinstall 'psycopg[binary]'; on a platform "
        "without a binary wheel, install psycopg and the system's libpq"
    )
