"""A call during Python's shutdown, when no thread can be started any more."""

import subprocess
import sys

from services.dynamodb import Moto

PROGRAM = """
import atexit, sys
from fibonacci import MemoryConfig, Workflow

memory = Workflow("w", MemoryConfig("dynamodb", sys.argv[1], timeout=30)).memory
atexit.register(lambda: print(memory.add("last", 1), memory.get("last")))
"""


def test_first_use_in_atexit_handler(moto_server: Moto):
    """A first call in an atexit handler works, though boto3 was not imported before."""
    url = moto_server.fresh.replace("127.0.0.1", "localhost")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, url], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ran.stdout, ran.stderr) == ("True 1\n", "")
