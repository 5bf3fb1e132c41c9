"""Which file a connection URL names, and its options."""

import os
from pathlib import Path

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci._memory.store_handle import stores_of


def test_three_slashes_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Three slashes mean a path relative to the working directory when the workflow is created."""
    monkeypatch.chdir(tmp_path)
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")) as workflow:
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        workflow.memory.set("k", 1)
    assert (tmp_path / "memory.db").exists()
    assert not (tmp_path / "elsewhere" / "memory.db").exists()


def test_relative_path_with_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A relative path may contain directories, and ``..``."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///../b/memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / "b" / "memory.db").exists()


def test_working_directory_may_not_be_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The working directory's name may be invalid UTF-8."""
    directory = os.path.join(os.fsencode(tmp_path), b"d\xff?#%41")
    os.mkdir(directory)
    monkeypatch.chdir(os.fsdecode(directory))
    with Workflow("w", MemoryConfig("sqlite", "sqlite:///memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert os.path.exists(os.path.join(directory, b"memory.db"))


def test_extra_slashes_are_ignored(tmp_path: Path):
    """Slashes after the fourth are ignored."""
    with Workflow("w", MemoryConfig("sqlite", f"sqlite:////{tmp_path}/memory.db")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / "memory.db").exists()


def test_four_slashes_are_absolute(tmp_path: Path):
    """Four slashes mean an absolute path."""
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
def test_file_may_have_any_name(tmp_path: Path, written: str, name: str):
    """A file may have any name; special characters of URLs are percent-encoded."""
    with Workflow("w", MemoryConfig("sqlite", f"sqlite:///{tmp_path}/{written}")) as workflow:
        workflow.memory.set("k", 1)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "needs a connection_url: sqlite:///"),
        ("sqlite://memory.db", "names a host"),
        ("sqlite://localhost/memory.db", "names a host"),
        ("sqlite://me@/memory.db", "takes a connection URL like"),
        ("sqlite://me:hunter2@/memory.db", "takes a connection URL like"),
        ("file:///memory.db", "takes a connection URL like"),
        ("sqlite://", "does not end with a file name"),
        ("sqlite:///", "does not end with a file name"),
        ("sqlite:////", "does not end with a file name"),
        ("sqlite:///directory/", "does not end with a file name"),
        ("sqlite:///directory/..", "does not end with a file name"),
        ("sqlite:///:memory:", "use backend='memory'"),
        ("sqlite:///m.db?create=maybe", "'create' must be true or false"),
        ("sqlite:///m.db?synchronous=off", "'synchronous' must be normal or full"),
        ("sqlite:///m.db?mode=ro", "no option 'mode': write readonly=true"),
        ("sqlite:///m.db?timeout=5", "no option 'timeout': use MemoryConfig(timeout=…)"),
        ("sqlite:///m.db?check_same_thread=false", "no option 'check_same_thread': leave it out"),
        ("sqlite:///m.db?reedonly=true", "Did you mean 'readonly'?"),
        ("sqlite:///file::memory:?cache=shared", "no option 'cache': leave it out"),
        ("sqlite:///file::memory:", "use backend='memory'"),
        ("sqlite+aiosqlite:///m.db", "takes sqlite://, not sqlite+aiosqlite://"),
        ("sqlite+pysqlite:///m.db", "as the driver is always Python's sqlite3: sqlite:///relative"),
        ("sqlite3:///m.db", "takes sqlite://, not sqlite3://"),
        ("sqlite:///~/m.db", "starts its path with ~ or $"),
        ("sqlite:////~root/m.db", "starts its path with ~ or $"),
        ("sqlite:///$HOME/m.db", "as os.path.expanduser returns it"),
        ("sqlite:///${HOME}/m.db", "contains the name of a variable"),
        ("file:m.db?mode=ro", "write sqlite:///relative.db or sqlite:////absolute.db"),
        ("/data/m.db", "is a path: write sqlite:///"),
        ("m.db", "is a path: write sqlite:///"),
    ],
)
def test_invalid_urls_are_refused(url: str | None, message: str):
    """A URL without a valid file or option raises ConfigurationError, which says what to write."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig("sqlite", url))
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_options_in_url_or_dict(tmp_path: Path):
    """Options can be set in the URL or in ``options``, but must not contradict each other."""
    url = f"sqlite:///{tmp_path}/memory.db?create=true"
    Workflow("w", MemoryConfig("sqlite", url, options={"create": True})).close()
    with pytest.raises(ConfigurationError):
        Workflow("w", MemoryConfig("sqlite", url, options={"create": False}))
    with pytest.raises(ConfigurationError):
        Workflow("w", MemoryConfig("sqlite", url, options={"synchronous": 1}))


def test_spellings_of_one_path_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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
