"""Half-finished uninstalls and upgrades: they hide no working plugin, and are reported."""

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import DistributionFinder
from pathlib import Path

import pytest

import fibonacci
from fibonacci import MemoryConfig, PluginLoadError, PluginNotFoundError, Workflow

Install = Callable[..., Path]


def use(name: str) -> bool:
    return Workflow("w", MemoryConfig(name)).memory.set("k", 1)


def refusal(name: str) -> str:
    with pytest.raises((PluginLoadError, PluginNotFoundError)) as caught:
        Workflow("w", MemoryConfig(name))
    return str(caught.value)


def no_metadata(folder: Path) -> None:
    (folder / "METADATA").unlink()


def nothing_at_all(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def no_entry_points(folder: Path) -> None:
    (folder / "entry_points.txt").write_bytes(b"")


def entry_points_that_are_no_text(folder: Path) -> None:
    (folder / "entry_points.txt").write_bytes(b"\xff\xfe[\x00")


def a_loop_of_links(folder: Path) -> None:
    (folder / "entry_points.txt").unlink()
    (folder / "entry_points.txt").symlink_to("entry_points.txt")


def a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def moved_aside(folder: Path) -> None:
    folder.rename(folder.with_name(f"~{folder.name[1:]}"))


BROKEN = [
    no_metadata,
    nothing_at_all,
    no_entry_points,
    entry_points_that_are_no_text,
    a_loop_of_links,
    a_file_in_its_place,
    moved_aside,
]


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_working_plugin_is_found(install: Install, breaks: Callable[[Path], None]):
    """A plugin works whatever state another distribution's metadata is in."""
    breaks(install("fibonacci-redis", storage={"redis": "fibonacci_redis"}))
    install("toy-healthy", storage={"healthy": "toy_healthy"}, toy_healthy=None)
    assert use("healthy")
    fibonacci.plugins()


@pytest.mark.parametrize("breaks", [one for one in BROKEN if one is not no_metadata])
def test_a_module_without_its_metadata_is_named(install: Install, breaks: Callable[[Path], None]):
    """An importable module without metadata is not called missing; reinstalling fixes it."""
    breaks(install("fibonacci-redis", storage={"redis": "fibonacci_redis"}, fibonacci_redis=None))
    message = refusal("redis")
    assert message.startswith(
        "storage backend 'redis' is not found: fibonacci_redis can be imported, but its metadata "
        "(entry points) is not here, or is broken. "
        "Install it again: pip install --force-reinstall fibonacci-redis."
    )


@pytest.mark.parametrize("breaks", [entry_points_that_are_no_text, a_loop_of_links])
def test_unreadable_metadata_is_named(install: Install, breaks: Callable[[Path], None]):
    """An unreadable metadata folder is named: pip fails on it too, so it must be removed first."""
    folder = install("toy-smudged", storage={"smudged": "toy_smudged"}, toy_smudged=None)
    breaks(folder)
    assert refusal("smudged") == (
        f"unknown storage backend 'smudged'. Installed: memory. The metadata in {folder} can't be "
        "read: if it is that, delete this folder, then run "
        "pip install --force-reinstall toy_smudged."
    )


def test_a_plugin_whose_distribution_has_no_name_works(install: Install):
    """A distribution without a name in its metadata gets the one of its folder."""
    no_metadata(install("toy-nameless", "2.5", storage={"anon": "toy_anon"}, toy_anon=None))
    assert use("anon")
    (info,) = [info for info in fibonacci.plugins() if info.name == "anon"]
    assert (info.distribution, info.version) == ("toy-nameless", "2.5")


# Of two that are whole the first counts, also if it names no plugins: that may be on purpose.
@pytest.mark.parametrize("breaks", [*BROKEN[:2], *BROKEN[3:], lambda folder: None])
@pytest.mark.parametrize("left", ["0.0.9", "3.0"])
def test_leftovers_of_an_upgrade_are_no_second_distribution(
    install: Install, breaks: Callable[[Path], None], left: str
):
    """Two versions of one distribution are not a conflict, whatever state the old one is in."""
    breaks(install("toy-twice", left, storage={"twice": "toy_twice"}, toy_twice=None))
    install("toy-twice", "1.0", storage={"twice": "toy_twice"}, toy_twice=None)
    assert use("twice")
    assert [info.state for info in fibonacci.plugins() if info.name == "twice"] == ["loaded"]


@pytest.mark.parametrize("breaks", [*BROKEN[:2], *BROKEN[3:]])
def test_leftovers_further_up_the_path_hide_nothing(
    install: Install, tmp_path: Path, breaks: Callable[[Path], None]
):
    """Leftovers in the user's folder do not hide the environment's distribution."""
    breaks(install("toy-behind", "0.9", storage={"behind": "toy_behind"}))
    install("toy-behind", storage={"behind": "toy_behind"}, into=tmp_path, toy_behind=None)
    sys.path.append(str(tmp_path))
    assert use("behind")


def test_the_whole_distribution_wins(install: Install, tmp_path: Path):
    """Of two with one name the whole one is used, also beside unreadable entry points."""
    a_loop_of_links(install("toy-unread", storage={"unread": "toy_unread"}))
    no_metadata(install("toy-pair", "0.9", storage={"pair": "toy_pair"}))
    install("toy-pair", "1.0", storage={"pair": "toy_pair"}, into=tmp_path, toy_pair=None)
    sys.path.append(str(tmp_path))
    assert use("pair")
    assert [info.version for info in fibonacci.plugins() if info.name == "pair"] == ["1.0"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (None, "ModuleNotFoundError: No module named 'toy_gone'"),
        (
            "import toy_gone.part",
            "ModuleNotFoundError: No module named 'toy_gone.part'; 'toy_gone'",
        ),
        ("from toy_gone import part", "ImportError: cannot import name 'part' from"),
    ],
)
def test_a_plugin_whose_files_are_gone_is_named(install: Install, source: str | None, error: str):
    """A module that is gone, whole or in part, is named; reinstalling brings it back."""
    install("toy-gone", storage={"gone": "toy_gone"}, **({"toy_gone": source} if source else {}))
    message = refusal("gone")
    assert message.startswith(f"backend 'gone' (toy-gone 1.0) failed to import: {error}")
    assert message.endswith(". Install it again: pip install --force-reinstall toy-gone")


def test_a_folder_without_code_is_named(install: Install, site: Path):
    """A folder without code, which Python imports as a namespace, is named."""
    install("toy-hollow", storage={"hollow": "toy_hollow"})
    (site / "toy_hollow" / "__pycache__").mkdir(parents=True)
    assert refusal("hollow") == (
        "backend 'hollow' (toy-hollow 1.0) failed to import: the folder toy_hollow contains no "
        "code. Install it again: pip install --force-reinstall toy-hollow"
    )


def test_a_folder_without_code_is_not_installed(site: Path):
    """An empty folder of one of our plugins is not a module that could be registered."""
    (site / "fibonacci_redis" / "__pycache__").mkdir(parents=True)
    assert "Install it: pip install 'fibonacci-core[redis]'" in refusal("redis")


class LeftFinder(DistributionFinder):
    """The finder of an editable install whose checkout is gone."""

    def find_spec(self, name, path=None, target=None):
        if name == "fibonacci_redis":
            raise OSError("no such checkout")

    def find_distributions(self, context=None):
        raise OSError("no such checkout")


def test_a_failing_finder_hides_nothing(install: Install, monkeypatch):
    """Distributions on sys.path are found although another finder fails."""
    monkeypatch.setattr(sys, "meta_path", [LeftFinder(), *sys.meta_path])
    install("toy-beside", storage={"beside": "toy_beside"}, toy_beside=None)
    assert use("beside")
    assert refusal("redis").startswith("storage backend 'redis' is not installed.")


@pytest.mark.parametrize("entry", [None, 5, Path("/nowhere"), object(), "a\0b", "/nowhere"])
def test_an_odd_path_entry_hides_nothing(install: Install, monkeypatch, entry: object):
    """Entries of sys.path that are not text are ignored, as Python does."""
    install("toy-onpath", storage={"onpath": "toy_onpath"}, toy_onpath=None)
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    # Listed, not imported: coverage looks at the path as a module comes, and fails over it.
    assert "onpath" in {info.name for info in fibonacci.plugins()}
