"""One model for a process and file: shared, forked, let go, and silent."""

import asyncio
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest, ModelSettings, TextDelta
from fibonacci_llamacpp import fibonacci_model
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import MAX_SOCKET_PATH, ModelServer

from .questions import ENDLESS, SHORT, TOKENS

SCRIPT = """
import os, sys
from fibonacci.plugin import ModelRequest, ModelSettings
from fibonacci_llamacpp import fibonacci_model

model = fibonacci_model(ModelSettings(model=sys.argv[1]))
stream = model.stream(ModelRequest(prompt="Count.", max_tokens=4000))
next(stream)
"""


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(weights: Path) -> Run:
    """Runs a program that is in the midst of an answer."""

    def run(script: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT + script]
        command.append(str(weights))
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            start_new_session=True,
        )

    return run


def test_two_workflows_share_one(model: LlamaModel, weights: Path) -> None:
    """Models of the same file are loaded once."""
    other = fibonacci_model(ModelSettings(model=str(weights)))
    assert other._server is model._server


def test_threads(model: Model) -> None:
    """Six threads ask at once, and each gets its answer."""
    requests = [attrs.evolve(SHORT, prompt=f"Tell me about {n}.") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(model.complete, requests))
    assert [answer.usage.output_tokens for answer in answers] == [TOKENS] * 6


def test_it_is_let_go_with_the_last_user(weights: Path) -> None:
    """Without a user the model's process ends, and its socket is gone."""
    model = LlamaModel(ModelServer(weights))
    model.complete(SHORT)
    server = model._server.process(None)
    assert Path(server._folder).stat().st_mode & 0o777 == 0o700
    del model
    gc.collect()
    assert not server.is_running
    assert not Path(server._folder).exists()


def test_a_long_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    """Where a socket's path would be too long, it stands in /tmp."""
    deep = tmp_path / ("x" * MAX_SOCKET_PATH)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    model = LlamaModel(ModelServer(weights))
    assert model.complete(SHORT).text
    assert Path(model._server.process(None)._folder).parent == Path("/tmp")
    assert not list(deep.iterdir())


def test_a_model_that_dies_is_loaded_again(weights: Path) -> None:
    """An answer that breaks off is an error that another try may mend, and it does."""
    model = LlamaModel(ModelServer(weights))
    stream = model.stream(ENDLESS)
    next(stream)
    process = model._server.process(None)._process
    process.kill()
    with pytest.raises(ModelError, match=r"connection broke|cut off") as caught:
        list(stream)
    assert caught.value.retryable
    process.wait()
    assert model.complete(SHORT).text


def test_a_socket_that_is_gone(weights: Path) -> None:
    """What the system says about a connection is told as an error of ours."""
    model = LlamaModel(ModelServer(weights))
    shutil.rmtree(model._server.process(None)._folder)
    with pytest.raises(ModelError, match=r"connection broke: .*No such file") as caught:
        model.complete(SHORT)
    assert caught.value.retryable


def test_the_deadline_holds_while_the_model_is_loaded(run: Run, weights: Path) -> None:
    """Who can't wait for the load gets an error; the load goes on for the others."""
    model = LlamaModel(ModelServer(weights))
    for complete in (model.complete, lambda request: asyncio.run(model.acomplete(request))):
        with pytest.raises(ModelError, match="deadline"):
            complete(ModelRequest(prompt="Hi", deadline=monotonic() + 0.01))
    loading = model._server._process
    assert loading is not None
    assert model.complete(SHORT).text
    assert model._server.process(None)._process is loading._process


def test_the_deadline_holds_behind_a_load(weights: Path) -> None:
    """Who waits behind another's load is held to the own deadline."""
    model = LlamaModel(ModelServer(weights))
    with ThreadPoolExecutor(1) as pool:
        model._server._lock.acquire()
        late = ModelRequest(prompt="Hi", deadline=monotonic() + 0.3)
        waiting = pool.submit(model.complete, late)
        with pytest.raises(ModelError, match="deadline"):
            waiting.result()
        model._server._lock.release()


def test_a_program_that_is_no_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    """Where sys.executable can't be started, the error says so, and nothing is left behind."""
    monkeypatch.setattr(sys, "executable", "/nowhere/app")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = LlamaModel(ModelServer(weights))
    with pytest.raises(ModelError, match=r"can't start sys\.executable, '/nowhere/app': No such"):
        model.complete(SHORT)
    assert not list(tmp_path.iterdir())


def test_the_worker_listens_on_no_port(model: LlamaModel) -> None:
    """Nobody can reach the model by the network."""
    pid = model._server.process(None)._process.pid
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    assert any(name.startswith("socket:") for name in sockets)
    for table in ("tcp", "tcp6"):
        for row in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            assert f"socket:[{row.split()[9]}]" not in sockets


def test_a_killed_program_leaves_nothing(run: Run) -> None:
    """When a program is killed, its worker ends, and removes the socket."""
    done = run("""
print(model._server.process(None)._folder, model._server.process(None)._process.pid, flush=True)
os.kill(os.getpid(), 9)
""")
    folder, pid = done.stdout.split()
    until = monotonic() + 60
    while (Path(folder).exists() or Path("/proc", pid).exists()) and monotonic() < until:
        sleep(0.02)
    assert not Path(folder).exists()
    assert not Path("/proc", pid).exists()


def test_the_program_ends_in_mid_answer_and_nothing_is_printed(run: Run) -> None:
    """A program that ends is not held up by an answer; llama.cpp never says a word."""
    done = run("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fork_in_mid_answer(model: Model) -> None:
    """A child answers by itself, and what it closes, its parent still has."""
    stream = model.stream(ENDLESS)
    next(stream)
    child = os.fork()
    if not child:
        try:
            stream.close()
            os._exit(model.complete(SHORT).usage.output_tokens)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == TOKENS
    assert isinstance(next(stream), TextDelta)
    stream.close()
    assert model.complete(SHORT).usage.output_tokens == TOKENS


def test_a_forked_child_loads_its_own(run: Run) -> None:
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


def test_a_forked_child_that_asks_nothing(run: Run) -> None:
    """A child that never asks ends as usual."""
    done = run("""
child = os.fork()
if not child:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_signals_stay_the_programs_own(run: Run) -> None:
    """Ctrl-C in the terminal interrupts the program, not the model; SIGTERM still ends it."""
    done = run("""
import signal
try:
    os.killpg(0, signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print(type(next(stream)).__name__, flush=True)
signal.raise_signal(signal.SIGTERM)
""")
    assert (done.returncode, done.stderr) == (-15, "")
    assert done.stdout == "TextDelta\n"


def test_a_fork_before_the_first_prompt(weights: Path, tmp_path: Path) -> None:
    """A child may be the first to ask; the parent's model is then still to be loaded."""
    copy = shutil.copyfile(weights, tmp_path / "copy.gguf")
    model = fibonacci_model(ModelSettings(model=str(copy)))
    child = os.fork()
    if not child:
        try:
            os._exit(model.complete(SHORT).usage.output_tokens)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == TOKENS
    assert model.complete(SHORT).usage.output_tokens == TOKENS
