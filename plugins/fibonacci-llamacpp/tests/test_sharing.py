"""One model for a process and file: shared, forked, let go, and silent."""

import gc
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fibonacci_llamacpp import fibonacci_model
from fibonacci_llamacpp.engine import Engine
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import LONGEST_SOCKET
from fibonacci_llamacpp.weights import find_weights

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest, ModelSettings

SHORT = ModelRequest(prompt="Tell me about the sea.", max_tokens=12)

SCRIPT = """
import os, sys
from fibonacci.plugin import ModelRequest, ModelSettings
from fibonacci_llamacpp import fibonacci_model

model = fibonacci_model(ModelSettings(model="smollm2"))
request = ModelRequest(prompt="Count to a million.", max_tokens=3000)
stream = model.stream(request)
next(stream)
"""


def run(script: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_two_workflows_share_one(model: LlamaModel) -> None:
    """Models of the same file are loaded once."""
    other = fibonacci_model(ModelSettings(model=str(find_weights("smollm2"))))
    assert other._engine is model._engine


def test_threads(model: Model) -> None:
    """Six threads ask at once, and each gets its answer."""
    requests = [ModelRequest(prompt=f"Tell me about {n}.", max_tokens=12) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(model.complete, requests))
    assert [answer.usage.output_tokens for answer in answers] == [12] * 6


def test_it_is_let_go_with_the_last_user() -> None:
    """Without a user the model is freed, and its socket gone."""
    model = LlamaModel(Engine(find_weights("smollm2")))
    model.complete(SHORT)
    folder = Path(model._engine.running()._folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    del model
    gc.collect()
    assert not folder.exists()


def test_a_long_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a socket's path would be too long, it stands in /tmp."""
    deep = tmp_path / ("x" * LONGEST_SOCKET)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    model = LlamaModel(Engine(find_weights("smollm2")))
    assert model.complete(SHORT).text
    assert model._engine.running()._folder.startswith("/tmp/")


def test_a_server_that_ends_in_mid_answer() -> None:
    """An answer that breaks off is an error, and so is every question after it."""
    model = LlamaModel(Engine(find_weights("smollm2")))
    stream = model.stream(ModelRequest(prompt="Count to a million.", max_tokens=3000))
    next(stream)
    model._engine.running().stop()
    with pytest.raises(ModelError, match="bro") as caught:
        list(stream)
    assert caught.value.retryable
    with pytest.raises(ModelError, match="connection broke"):
        model.complete(SHORT)


def test_it_listens_on_no_port(model: Model) -> None:
    """Nobody can reach the model by the network."""
    model.complete(SHORT)
    inodes = {
        os.readlink(f"/proc/self/fd/{fd}")[len("socket:[") : -1]
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
        and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    }
    for table in ("tcp", "tcp6"):
        rows = Path("/proc/self/net", table).read_text().splitlines()[1:]
        assert inodes.isdisjoint(row.split()[9] for row in rows)


def test_the_program_ends_in_mid_answer_and_nothing_is_printed() -> None:
    """A program that ends is not held up by an answer; llama.cpp never says a word."""
    done = run("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_child_loads_its_own() -> None:
    """A child answers by itself, goes its way, and leaves its parent's model and answer alone."""
    done = run("""
child = os.fork()
short = ModelRequest(prompt="Hi", max_tokens=3)
if not child:
    print(model.complete(short).usage.output_tokens, flush=True)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
next(stream)
stream.close()
print(model.complete(short).usage.output_tokens)
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n3\n", "")


def test_a_forked_child_that_asks_nothing() -> None:
    """A child that never asks ends as usual."""
    done = run("""
child = os.fork()
if not child:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_signals_stay_the_programs_own() -> None:
    """Ctrl-C is still KeyboardInterrupt after a model was loaded, and SIGTERM still ends it."""
    done = run("""
import signal
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", flush=True)
signal.raise_signal(signal.SIGTERM)
""")
    assert (done.returncode, done.stdout, done.stderr) == (-15, "interrupted\n", "")
