"""Core without orjson: for a while in this process, or in its own process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from fibonacci._memory import codec, strict_json
from fibonacci._workflow import inputs
from fibonacci.plugin import templating
from fibonacci.plugin._orjson import no_dumps

PYTEST: Final = "import sys, pytest; sys.modules['orjson'] = None; sys.exit(pytest.main())"


@contextmanager
def without_orjson() -> Iterator[None]:
    """Remove orjson from all modules of core that imported it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "orjson", None)
        patch.setattr(codec, "_loads", strict_json.loads)
        patch.setattr(codec, "_dumps", no_dumps)
        for module in (inputs, templating):
            patch.setattr(module, "dumps", no_dumps)
        yield


def run_tests_without_orjson(*arguments: str) -> str:
    """Run pytest where orjson can't be imported, and return its output; the tests must pass."""
    command = [sys.executable, "-c", PYTEST, "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
