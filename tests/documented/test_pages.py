"""The pages that are made from the source are what the source says."""

import subprocess
import sys

from .conftest import ROOT


def test_made_pages():
    """docs/hooks.md and docs/errors.md are as docs/make_pages.py makes them."""
    command = [sys.executable, ROOT / "docs" / "make_pages.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
