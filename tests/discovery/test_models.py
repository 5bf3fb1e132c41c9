"""Models of installed distributions: found by their kind's metadata."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import importlib_metadata
import pytest

from fibonacci import LLMNode, PluginConflictError, PluginNotFoundError, Workflow

Install = Callable[..., Path]

PARROT = """
from fibonacci.plugin import Completion, Model, hookimpl

FIBONACCI_SPEC_VERSION = 1


class Parrot(Model):
    def __init__(self, model):
        self.model = model

    def complete(self, request):
        return Completion(text=f"{__name__}({self.model})")


@hookimpl
def fibonacci_model(settings):
    return Parrot(settings.model)
"""


@pytest.fixture
def install_models(install: Install) -> Install:
    """Install a distribution with models: ``install_models("toy-x", {"x-": "toy_x"})``."""

    def install_models(distribution: str, points: Mapping[str, str]) -> Path:
        sources = dict.fromkeys(points.values(), PARROT)
        metadata = install(distribution, **sources)
        lines = [f"{name} = {module}" for name, module in points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[fibonacci.models]", *lines, ""]))
        return metadata

    return install_models


def answer(model: str) -> str:
    """Return the output of one node with this model."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", model, "x"))
    text = workflow.execute({})["n"]
    assert isinstance(text, str)
    return text


def test_no_other_kind_is_read(install_models: Install, monkeypatch: pytest.MonkeyPatch):
    """A model's name is looked up only among models; other kinds' metadata is not read."""
    install_models("toy-parrot", {"parrot": "toy_parrot", "grey-": "toy_parrot"})
    read, entry_points = set(), importlib_metadata.entry_points

    def reading(*, group: str) -> object:
        read.add(group)
        return entry_points(group=group)

    monkeypatch.setattr(importlib_metadata, "entry_points", reading)
    assert answer("parrot:x") == "toy_parrot(x)"
    assert answer("grey-1") == "toy_parrot(grey-1)"
    assert read == {"fibonacci.models"}


def test_longest_prefix(install_models: Install):
    """Of several claimed prefixes, the longest wins."""
    install_models("toy-short", {"bird-": "toy_short"})
    install_models("toy-long", {"bird-of-": "toy_long"})
    assert answer("bird-of-prey") == "toy_long(bird-of-prey)"
    assert answer("bird-song:1") == "toy_short(bird-song:1)"


def test_provider_before_prefix(install_models: Install):
    """An explicit provider is used, whatever prefix another one claims."""
    install_models("toy-claim", {"bird-": "toy_claim", "bird-own": "toy_own"})
    assert answer("bird-own:x") == "toy_own(x)"
    assert answer("bird-other:x") == "toy_claim(bird-other:x)"


def test_blocked(install_models: Install, monkeypatch: pytest.MonkeyPatch):
    """A blocked provider is an error that says so, and no prefix takes its place."""
    install_models("toy-claim", {"bird-": "toy_claim", "bird-own": "toy_own"})
    monkeypatch.setitem(os.environ, "FIBONACCI_BLOCK_PLUGINS", "bird-own")
    with pytest.raises(PluginNotFoundError, match="'bird-own' is blocked"):
        answer("bird-own:x")


def test_conflict(install_models: Install):
    """A provider or a prefix that two distributions claim is a conflict."""
    install_models("toy-one", {"twin": "toy_one", "pair-": "toy_one"})
    install_models("toy-two", {"twin": "toy_two", "pair-": "toy_two"})
    for model in ("twin:x", "pair-x"):
        with pytest.raises(PluginConflictError, match="provided by two distributions"):
            answer(model)


def test_changes_at_run_time(install_models: Install):
    """A provider installed at run time is found, and a removed one is not."""
    with pytest.raises(PluginNotFoundError, match="unknown model provider 'late'"):
        answer("late:x")
    metadata = install_models("toy-late", {"late": "toy_late"})
    assert answer("late:x") == "toy_late(x)"
    time.sleep(0.02)  # a folder's mtime has a resolution of some milliseconds
    shutil.rmtree(metadata)
    with pytest.raises(PluginNotFoundError, match="unknown model provider 'late'"):
        answer("late:x")
