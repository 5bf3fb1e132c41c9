"""Toy distributions: real installed metadata, in their own directory on ``sys.path``."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import importlib_metadata  # noqa: F401 - core imports it late, when the path below is bare
import pytest

Install = Callable[..., Path]

INSTALLED = ("*.dist-info", "*.egg-info", "fibonacci_*")
"""What shows that a folder has plugins, or their sources, in it."""

TOYS = Path(__file__).parent / "toys"


@pytest.fixture(autouse=True)
def only_toys() -> Iterator[None]:
    """Hide all plugins but the toys, whatever plugins (or sources of them) are installed.

    Without monkeypatch, as this must be undone after all changes of the path by monkeypatch.
    """
    saved = sys.path[:]
    sys.path[:] = [
        entry
        for entry in saved
        if not any(found for kind in INSTALLED for found in Path(entry).glob(kind))
    ]
    importlib.invalidate_caches()
    yield
    sys.path[:] = saved


@pytest.fixture(autouse=True)
def nothing_blocked(only_toys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment blocks no plugin, unless the test does."""
    monkeypatch.delenv("FIBONACCI_BLOCK_PLUGINS", raising=False)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of installed packages; modules imported from it are unloaded afterwards."""
    directory = tmp_path / "site"
    directory.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(directory)
    yield directory
    for name in set(sys.modules) - before:
        if str(directory) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution: its metadata, its entry points, and the modules they name.

    ``install("toy-x", "1.0", storage={"x": "toy_x"}, toy_x="source")``; without a source the
    module is the working one in ``toys/``.
    """

    def install(
        distribution: str,
        version: str = "1.0",
        *,
        storage: Mapping[str, str] | None = None,
        encryption: Mapping[str, str] | None = None,
        into: Path = site,
        **sources: str | None,
    ) -> Path:
        metadata = into / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        lines = []
        for kind, points in (("storage", storage), ("encryption", encryption)):
            lines += [f"[fibonacci.{kind}]", *(f"{n} = {m}" for n, m in (points or {}).items())]
        (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in sources.items():
            text = (TOYS / "toy_shelf.py").read_text() if source is None else source
            (into / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        return metadata

    return install
