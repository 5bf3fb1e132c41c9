"""What is installed may change while a program runs; until it does, its metadata is read once."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import importlib_metadata
import pytest

from fibonacci import MemoryConfig, PluginNotFoundError, Workflow

Install = Callable[..., Path]


def test_what_is_installed_or_taken_out_meanwhile_is_noticed(install: Install):
    """A process that looked before sees what was installed since, and misses what went."""
    for _ in range(3):
        with pytest.raises(PluginNotFoundError, match="come-and-go"):
            Workflow("w", MemoryConfig("come-and-go"))
        metadata = install("toy-comes", storage={"come-and-go": "toy_comes"}, toy_comes=None)
        assert Workflow("w", MemoryConfig("come-and-go")).memory.list_keys() == []
        time.sleep(0.02)  # a folder's time goes on in steps of some milliseconds
        shutil.rmtree(metadata)


def test_metadata_is_read_once(install: Install, monkeypatch: pytest.MonkeyPatch):
    """While nothing is installed, workflows read no metadata: of hundreds, it takes long."""
    install("toy-once", storage={"once": "toy_once"}, toy_once=None)
    Workflow("w", MemoryConfig("once"))  # importing the plugin makes its __pycache__
    Workflow("w", MemoryConfig("once"))
    monkeypatch.setattr(importlib_metadata, "entry_points", lambda **_: pytest.fail("read again"))
    monkeypatch.setattr(importlib_metadata, "distributions", lambda: pytest.fail("read again"))
    assert Workflow("w", MemoryConfig("once")).memory.list_keys() == []


def test_half_an_installation_is_looked_at_again(install: Install):
    """Who looks before the entry points are written finds the plugin the next time."""
    metadata = install("toy-half", storage={"half": "toy_half"}, toy_half=None)
    points = (metadata / "entry_points.txt").rename(metadata.with_suffix(".later"))
    with pytest.raises(PluginNotFoundError, match="half"):
        Workflow("w", MemoryConfig("half"))
    (metadata / "entry_points.txt").write_bytes(points.read_bytes())
    assert Workflow("w", MemoryConfig("half")).memory.list_keys() == []


def test_odd_entries_of_the_path_harm_nobody(install: Install, monkeypatch: pytest.MonkeyPatch):
    """What Python itself passes over is passed over."""
    install("toy-odd-path", storage={"odd-path": "toy_odd_path"}, toy_odd_path=None)
    for odd in ("", "/no/such/folder"):
        monkeypatch.syspath_prepend(odd)
    assert Workflow("w", MemoryConfig("odd-path")).memory.list_keys() == []
