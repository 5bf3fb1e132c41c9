"""Installations and removals at run time are noticed; until one happens, metadata is read once."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import importlib_metadata
import pytest

from fibonacci import MemoryConfig, PluginNotFoundError, Workflow

Install = Callable[..., Path]


def test_changes_at_run_time_are_noticed(install: Install):
    """A process finds plugins that were installed since its last look, and loses removed ones."""
    for _ in range(3):
        with pytest.raises(PluginNotFoundError, match="come-and-go"):
            Workflow("w", MemoryConfig("come-and-go"))
        metadata = install("toy-comes", storage={"come-and-go": "toy_comes"}, toy_comes=None)
        assert Workflow("w", MemoryConfig("come-and-go")).memory.list_keys() == []
        time.sleep(0.02)  # a folder's mtime has a resolution of some milliseconds
        shutil.rmtree(metadata)


def test_metadata_is_read_once(install: Install, monkeypatch: pytest.MonkeyPatch):
    """Workflows read no metadata while nothing is installed: hundreds of packages take long."""
    install("toy-once", storage={"once": "toy_once"}, toy_once=None)
    Workflow("w", MemoryConfig("once"))  # importing the plugin makes its __pycache__
    Workflow("w", MemoryConfig("once"))
    monkeypatch.setattr(importlib_metadata, "entry_points", lambda **_: pytest.fail("read again"))
    monkeypatch.setattr(importlib_metadata, "distributions", lambda: pytest.fail("read again"))
    assert Workflow("w", MemoryConfig("once")).memory.list_keys() == []


def test_an_unfinished_installation_is_read_again(install: Install):
    """A plugin whose entry points are written after its folder is found at the next look."""
    metadata = install("toy-half", storage={"half": "toy_half"}, toy_half=None)
    points = (metadata / "entry_points.txt").rename(metadata.with_suffix(".later"))
    with pytest.raises(PluginNotFoundError, match="half"):
        Workflow("w", MemoryConfig("half"))
    (metadata / "entry_points.txt").write_bytes(points.read_bytes())
    assert Workflow("w", MemoryConfig("half")).memory.list_keys() == []


def test_odd_path_entries_are_ignored(install: Install, monkeypatch: pytest.MonkeyPatch):
    """Entries of sys.path that Python ignores are ignored."""
    install("toy-odd-path", storage={"odd-path": "toy_odd_path"}, toy_odd_path=None)
    for odd in ("", "/no/such/folder"):
        monkeypatch.syspath_prepend(odd)
    assert Workflow("w", MemoryConfig("odd-path")).memory.list_keys() == []
