"""Runs a program without what Windows' Python lacks."""

import subprocess
import sys
from typing import Final

LACKING: Final = """
import asyncio, concurrent.futures, logging, multiprocessing, os, random, select, selectors
import signal, ssl, subprocess, tempfile, threading, urllib.request, uuid

for module, names in (
    (os, ("fork", "forkpty", "register_at_fork")),
    (select, ["epoll", "poll", *(name for name in dir(select) if name.startswith("POLL"))]),
    (signal, ("SIGALRM", "setitimer")),
):
    for name in names:
        if hasattr(module, name):  # macOS has no epoll
            delattr(module, name)
"""


def run_without_forks(program: str, *arguments: str) -> str:
    """Run it in its own process, where os.fork is missing, and return its output.

    The standard library's modules are imported before: on Windows they work without it.
    """
    command = [sys.executable, "-c", LACKING + program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
