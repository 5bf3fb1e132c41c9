"""The first Python block of each README runs when a newcomer pastes it into a file."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fibonacci import plugins

from .conftest import ROOT

READMES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("core/*.md")),
    *sorted(ROOT.glob("plugins/*/*.md")),
]
STANDALONE = ("core", *(f"plugins/fibonacci-{name}" for name in ("crypto", "jinja", "sqlite")))
"""READMEs whose first block needs no server, key or model."""


def blocks(readme: Path, language: str = "python") -> list[str]:
    """Return the page's blocks of this language."""
    text = readme.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def run(*arguments: str, folder: Path, **variables: str) -> str:
    """Return what Python prints in this folder, without an error or a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_first_program(tmp_path: Path):
    """The README's first block runs with only the core installed, and prints what is shown."""
    readme = ROOT / "README.md"
    (tmp_path / "first.py").write_text(blocks(readme)[0], encoding="utf-8")
    others = {one.distribution for one in plugins()} - {"fibonacci-core", None}
    printed = run("first.py", folder=tmp_path, FIBONACCI_BLOCK_PLUGINS=",".join(map(str, others)))
    shown = next(one for one in blocks(readme, "console") if "first.py" in one)
    assert printed == shown.partition("\n")[2]
    assert os.listdir(tmp_path) == ["first.py"]


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: str(readme.relative_to(ROOT)))
def test_each_block_is_a_program(readme: Path):
    """No block has an `await` outside of a function, which needs more than a file."""
    for block in blocks(readme):
        compile(block, str(readme), "exec", dont_inherit=True)


def test_first_blocks_that_need_no_server(tmp_path: Path):
    """The first block of a README without a server runs by itself in an empty directory."""
    files = [f"first_{number}.py" for number in range(len(STANDALONE))]
    for folder, file in zip(STANDALONE, files, strict=True):
        source = blocks(ROOT / folder / "README.md")[0]
        (tmp_path / file).write_text(source, encoding="utf-8")
    run("-c", "import runpy, sys; [*map(runpy.run_path, sys.argv[1:])]", *files, folder=tmp_path)
