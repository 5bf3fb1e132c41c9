"""Programs without metadata (frozen, zipped, or copied): the error says what to do."""

import shutil
import subprocess
import sys
import zipapp
from pathlib import Path
from shutil import ignore_patterns
from types import ModuleType

import pluggy
import pytest

import fibonacci
import fibonacci_sqlite
from fibonacci import MemoryConfig, PluginNotFoundError, Workflow

MAIN = """
import sys
sys.path.append(sys.argv[1])
import fibonacci
from fibonacci import MemoryConfig, PluginNotFoundError, Workflow

config = MemoryConfig("sqlite", "sqlite:///" + sys.argv[2])
try:
    Workflow("w", config)
except PluginNotFoundError as error:
    print(error)
import fibonacci_sqlite
fibonacci.register_plugin("storage", "sqlite", fibonacci_sqlite)
with Workflow("w", config) as workflow:
    workflow.memory.set("k", [1])
    print(workflow.memory.get("k"))
"""


def folder_of(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__).parent


def refusal(name: str) -> str:
    with pytest.raises(PluginNotFoundError) as caught:
        Workflow("w", MemoryConfig(name, f"{name}://x"))
    return str(caught.value)


def test_a_zip_file_without_metadata(tmp_path: Path):
    """The error names the bundled module, and the call that it recommends works."""
    program, needed = tmp_path / "program", tmp_path / "needed"
    needed.mkdir()
    program.mkdir()
    for found in folder_of(pluggy).parent.iterdir():
        if found.suffix not in {".dist-info", ".pth"}:
            (needed / found.name).symlink_to(found)
    for module in (fibonacci, fibonacci_sqlite):
        name = module.__name__
        shutil.copytree(folder_of(module), program / name, ignore=ignore_patterns("__pycache__"))
    (program / "__main__.py").write_text(MAIN)
    zipapp.create_archive(program, tmp_path / "program.pyz")
    command = [sys.executable, "-I", "-S", tmp_path / "program.pyz", needed, tmp_path / "m.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "storage backend 'sqlite' is not found: fibonacci_sqlite can be imported, but its metadata "
        "(entry points) is not here, or is broken. Install it again: "
        "pip install --force-reinstall fibonacci-sqlite. In a program without metadata (frozen, "
        'a zip file, a layer), call fibonacci.register_plugin("storage", "sqlite", '
        "fibonacci_sqlite). Installed: memory.\n[1]\n"
    )


@pytest.mark.parametrize("here", [True, False])
def test_a_frozen_program(monkeypatch, site: Path, here: bool):
    """The flags of PyInstaller and of Nuitka are named, whether the module is bundled or not."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    if here:
        (site / "fibonacci_redis.py").write_text("raise RuntimeError('imported')")
    lack = (
        "fibonacci_redis is here, its metadata (entry points) is not"
        if here
        else "no fibonacci_redis"
    )
    assert refusal("redis") == (
        f"storage backend 'redis' is not found in this frozen program: {lack}. Bundle both "
        "(PyInstaller: --hidden-import fibonacci_redis --copy-metadata fibonacci-redis; "
        "Nuitka: --include-package=fibonacci_redis "
        "--include-distribution-metadata=fibonacci-redis), or import fibonacci_redis and call "
        'fibonacci.register_plugin("storage", "redis", fibonacci_redis). Installed: memory.'
    )


def test_an_unknown_plugin_in_a_frozen_program(monkeypatch):
    """An unknown name may be that of a third-party plugin that was not bundled."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert refusal("acme-shelf") == (
        "unknown storage backend 'acme-shelf'. Installed: memory. This program is frozen: bundle "
        "the plugin's module and its metadata, or call "
        "fibonacci.register_plugin(\"storage\", 'acme-shelf', ...)."
    )
    assert refusal("rediss") == "unknown storage backend 'rediss'. Did you mean 'redis'?"
