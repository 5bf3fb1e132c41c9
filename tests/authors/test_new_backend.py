"""``python -m fibonacci.testing new``: a new backend's distribution, which works at once.

Its whole contract, in a fresh environment, is in test_distributions.py.
"""

import runpy
import sys
import tomllib
from importlib import import_module

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow, register_plugin
from fibonacci.testing import __main__
from fibonacci.testing.__main__ import main


@pytest.fixture
def folder(tmp_path):
    """A new distribution's folder."""
    main(["new", "drawer", str(tmp_path / "drawer")])
    return tmp_path / "drawer"


def test_files(folder):
    """A new distribution has a store, a test, a README, a workflow, and no name left to fill in."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    assert set(files) == {
        ".github/workflows/test.yml",
        "README.md",
        "pyproject.toml",
        "src/fibonacci_drawer/__init__.py",
        "src/fibonacci_drawer/py.typed",
        "src/fibonacci_drawer/store.py",
        "tests/test_contract.py",
    }
    assert not [name for name, path in files.items() if "@name@" in path.read_text("utf-8").lower()]
    project = tomllib.loads(files["pyproject.toml"].read_text("utf-8"))["project"]
    assert project["name"] == "fibonacci-drawer"
    assert project["entry-points"]["fibonacci.storage"] == {"drawer": "fibonacci_drawer"}


def test_backend(folder, monkeypatch):
    """A new backend stores records at once, and refuses a URL without its parts."""
    monkeypatch.syspath_prepend(folder / "src")
    try:
        with register_plugin("storage", "drawer", import_module("fibonacci_drawer")):
            memory = Workflow("w", MemoryConfig("drawer", "drawer://localhost/test")).memory
            assert memory.append("turns", "hello", "again") == 2
            assert memory.list_keys() == ["turns"]
            with pytest.raises(ConfigurationError, match="has no path: write drawer://user:pass"):
                Workflow("w", MemoryConfig("drawer", "drawer://localhost"))
    finally:
        for name in [name for name in sys.modules if name.startswith("fibonacci_drawer")]:
            del sys.modules[name]


def test_default_folder(tmp_path, monkeypatch, capsys):
    """Without a folder the distribution goes into fibonacci-NAME; the next steps are shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fibonacci.testing", "new", "drawer"])
    runpy.run_path(__main__.__file__, run_name="__main__")
    assert (tmp_path / "fibonacci-drawer" / "pyproject.toml").exists()
    assert "fibonacci-drawer has a backend that passes the contract" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", "Drawer", "a-b", "a_b", "1a", "é", "a" * 32, "../a"])
def test_invalid_name(name, tmp_path, monkeypatch, capsys):
    """A name that can't be that of a package and a scheme is refused; nothing is written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["new", name])
    assert "is no name of a backend: write up to 31" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_name_of_an_installed_backend(tmp_path, monkeypatch, capsys):
    """The name of an installed backend is refused, with the distribution that has it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["new", "memory"])
    assert "'memory' is a backend of fibonacci-core: choose another name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_existing_folder(folder, capsys):
    """A folder that exists is refused, and what is in it stays."""
    (folder / "README.md").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        main(["new", "drawer", str(folder)])
    assert "exists: name a folder that does not" in capsys.readouterr().err
    assert (folder / "README.md").read_text() == "mine"
