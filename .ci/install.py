"""Installs as the README says, each way in its own clone and environment, and uses the result.

install.py CHECKOUT
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(sys.argv[1])
SECTION = re.compile(r"^## Install\n(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRIAL = """
from fibonacci import MemoryConfig, Workflow

config = MemoryConfig(backend="sqlite", connection_url="sqlite:///trial.db")
with Workflow(name="trial", memory_config=config) as workflow:
    workflow.memory.set("k", [1])
    assert workflow.memory.get("k") == [1]
"""


def commands(block: str) -> list[str]:
    """Return the commands of a console block."""
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def follow(block: str) -> None:
    """Do in a fresh clone what a reader of the README does."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", CHECKOUT, clone], check=True)
        for command in commands(block):
            print(f"$ {command}", flush=True)
            subprocess.run(["bash", "-ec", command], cwd=clone, check=True, stdout=subprocess.PIPE)
        python = clone / ".venv" / "bin" / "python"
        for program in (TRIAL, FIRST):
            subprocess.run([python, "-I", "-W", "error", "-c", program], cwd=folder, check=True)


README = (CHECKOUT / "README.md").read_text()
FIRST = PROGRAM.findall(README)[0]
section = SECTION.search(README)
blocks = BLOCK.findall(section[1]) if section else []
assert len(blocks) == 2, "the README's section on installing must have two blocks of commands"
for block in blocks:
    follow(block)
print("install: ok")
