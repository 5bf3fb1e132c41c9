"""Which file a connection URL names."""

import os
from pathlib import Path

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci._memory.store_handle import stores_of


def test_three_slashes_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three slashes: from the working directory, as it was when the workflow was made."""
    monkeypatch.chdir(tmp_path)
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")) as workflow:
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        workflow.memory.set("k", 1)
    assert (tmp_path / "memory.db").exists()
    assert not (tmp_path / "elsewhere" / "memory.db").exists()


def test_relative_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A relative path may lead through directories, and up."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///../b/memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / "b" / "memory.db").exists()


def test_directory_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The working directory's name may be no UTF-8."""
    directory = os.path.join(os.fsencode(tmp_path), b"d\xff?#%41")
    os.mkdir(directory)
    monkeypatch.chdir(os.fsdecode(directory))
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert os.path.exists(os.path.join(directory, b"memory.db"))


def test_more_slashes(tmp_path: Path):
    """Slashes beyond the fourth change nothing."""
    with Workflow("w", MemoryConfig("sqlite", f"sqlite:////{tmp_path}/memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / "memory.db").exists()


def test_four_slashes_are_absolute(tmp_path: Path):
    """Four slashes: from the root."""
    url = f"sqlite:///{tmp_path}/memory.db"
    assert url.startswith("sqlite:////")
    with Workflow("w", MemoryConfig("sqlite", url)) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / "memory.db").exists()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("my%20memory.db", "my memory.db"),
        ("100%25.db", "100%.db"),
        ("what%3F.db", "what?.db"),
        ("a%23b.db", "a#b.db"),
        ("a%2525.db", "a%25.db"),
        ("ü-漢.db", "ü-漢.db"),
        ("it's;\"--.db", "it's;\"--.db"),
        ("file:a.db", "file:a.db"),
        ("./~", "~"),
        ("a:b,c.db", "a:b,c.db"),
    ],
)
def test_odd_names(tmp_path: Path, written: str, name: str):
    """A file may have any name; what is special in a URL is written with %."""
    with Workflow("w", MemoryConfig("sqlite", f"sqlite:///{tmp_path}/{written}")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "needs a connection_url: sqlite:///"),
        ("sqlite://memory.db", "names a host"),
        ("sqlite://localhost/memory.db", "names a host"),
        ("sqlite://me@/memory.db", "takes a connection URL like"),
        ("sqlite://me:hunter2@/memory.db", "takes a connection URL like"),
        ("file:///memory.db", "takes a connection URL like"),
        ("sqlite://", "does not end with the name of a file"),
        ("sqlite:///", "does not end with the name of a file"),
        ("sqlite:////", "does not end with the name of a file"),
        ("sqlite:///directory/", "does not end with the name of a file"),
        ("sqlite:///directory/..", "does not end with the name of a file"),
        ("sqlite:///:memory:", "take backend='memory'"),
        ("sqlite:///m.db?create=maybe", "'create' must be true or false"),
        ("sqlite:///m.db?synchronous=off", "'synchronous' must be normal or full"),
        ("sqlite:///m.db?mode=ro", "no option 'mode': write readonly=true"),
        ("sqlite:///m.db?timeout=5", "no option 'timeout': MemoryConfig(timeout=…) has"),
        ("sqlite:///m.db?check_same_thread=false", "no option 'check_same_thread': leave it out"),
        ("sqlite:///m.db?reedonly=true", "Did you mean 'readonly'?"),
        ("sqlite:///file::memory:?cache=shared", "no option 'cache': leave it out"),
        ("sqlite:///file::memory:", "take backend='memory'"),
        ("sqlite+aiosqlite:///m.db", "takes no sqlite+aiosqlite:// but sqlite://"),
        ("sqlite+pysqlite:///m.db", "as no driver is named: sqlite:///relative/path.db"),
        ("sqlite3:///m.db", "takes no sqlite3:// but sqlite://"),
        ("sqlite:///~/m.db", "begins its path with ~ or $"),
        ("sqlite:////~root/m.db", "begins its path with ~ or $"),
        ("sqlite:///$HOME/m.db", "as os.path.expanduser returns it"),
        ("sqlite:///${HOME}/m.db", "holds the name of a variable"),
        ("file:m.db?mode=ro", "write sqlite:///relative.db or sqlite:////absolute.db"),
        ("/data/m.db", "is a path: write sqlite:///"),
        ("m.db", "is a path: write sqlite:///"),
    ],
)
def test_refused(url: str | None, told: str):
    """A URL that names no file is refused when the workflow is made, with the form to write."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig("sqlite", url))
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_options_may_stand_apart(tmp_path: Path):
    """Options may stand in ``options``, and must not contradict the URL's."""
    url = f"sqlite:///{tmp_path}/memory.db?create=true"
    Workflow("w", MemoryConfig("sqlite", url, options={"create": True})).close()
    with pytest.raises(ConfigurationError):
        Workflow("w", MemoryConfig("sqlite", url, options={"create": False}))
    with pytest.raises(ConfigurationError):
        Workflow("w", MemoryConfig("sqlite", url, options={"synchronous": 1}))


def test_one_place_is_one_store_whatever_its_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two spellings of a path share a store; one spelling in two directories does not (C22)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    relative = Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")).memory
    absolute = Workflow("w", MemoryConfig("sqlite", f"sqlite:///{tmp_path}/memory.db")).memory
    relative.set("k", 1)
    assert absolute.get("k") == 1
    assert stores_of(relative).blocking_store is stores_of(absolute).blocking_store
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")).memory.get("k") is None
