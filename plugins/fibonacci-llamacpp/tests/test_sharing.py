"""One server per process and file: shared, forked, released, and silent."""

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

from .model_requests import ENDLESS, SHORT, TOKENS

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
    """Runs a program that has started a generation."""

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


def test_models_of_a_file_share_a_server(model: LlamaModel, weights: Path) -> None:
    """Models of the same file share one server."""
    other = fibonacci_model(ModelSettings(model=str(weights)))
    assert other._server is model._server


def test_threads_complete_concurrently(model: Model) -> None:
    """Six threads that send requests at once get their completions."""
    requests = [attrs.evolve(SHORT, prompt=f"Tell me about {n}.") for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        completions = list(pool.map(model.complete, requests))
    assert [completion.usage.output_tokens for completion in completions] == [TOKENS] * 6


def test_last_model_stops_the_process(weights: Path) -> None:
    """The process ends and its socket is removed when the last model is collected."""
    model = LlamaModel(ModelServer(weights))
    model.complete(SHORT)
    server = model._server.process(None)
    assert Path(server._folder).stat().st_mode & 0o777 == 0o700
    del model
    gc.collect()
    assert not server.is_running
    assert not Path(server._folder).exists()


def test_long_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    """The socket is in /tmp if its path in the temporary folder would be too long."""
    deep = tmp_path / ("x" * MAX_SOCKET_PATH)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    model = LlamaModel(ModelServer(weights))
    assert model.complete(SHORT).text
    assert Path(model._server.process(None)._folder).parent == Path("/tmp")
    assert not list(deep.iterdir())


def test_crashed_process_is_restarted(weights: Path) -> None:
    """A crash raises a retryable ModelError, and the next request restarts the process."""
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


def test_missing_socket_is_retryable(weights: Path) -> None:
    """A missing socket raises a retryable ModelError with the system's reason."""
    model = LlamaModel(ModelServer(weights))
    shutil.rmtree(model._server.process(None)._folder)
    with pytest.raises(ModelError, match=r"connection broke: .*No such file") as caught:
        model.complete(SHORT)
    assert caught.value.retryable


def test_deadline_holds_while_the_model_is_loaded(run: Run, weights: Path) -> None:
    """A request times out while the model is loaded; loading continues for others."""
    model = LlamaModel(ModelServer(weights))
    for complete in (model.complete, lambda request: asyncio.run(model.acomplete(request))):
        with pytest.raises(ModelError, match="deadline"):
            complete(ModelRequest(prompt="Hi", deadline=monotonic() + 0.01))
    loading = model._server._process
    assert loading is not None
    assert model.complete(SHORT).text
    assert model._server.process(None)._process is loading._process


def test_deadline_holds_for_waiters_of_a_load(weights: Path) -> None:
    """A request that waits for another thread's load times out at its own deadline."""
    model = LlamaModel(ModelServer(weights))

    def complete() -> None:
        model.complete(ModelRequest(prompt="Hi", deadline=monotonic() + 0.3))

    with (
        model._server._lock,
        ThreadPoolExecutor(1) as pool,
        pytest.raises(ModelError, match="deadline"),
    ):
        pool.submit(complete).result()


def test_invalid_executable_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path
) -> None:
    """The error for an invalid sys.executable names it, and no file is left behind."""
    monkeypatch.setattr(sys, "executable", "/nowhere/app")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = LlamaModel(ModelServer(weights))
    with pytest.raises(ModelError, match=r"can't start sys\.executable, '/nowhere/app': No such"):
        model.complete(SHORT)
    assert not list(tmp_path.iterdir())


def test_worker_listens_on_no_port(model: LlamaModel) -> None:
    """The worker has a Unix socket and no TCP socket."""
    pid = model._server.process(None)._process.pid
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    assert any(name.startswith("socket:") for name in sockets)
    for table in ("tcp", "tcp6"):
        for row in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            assert f"socket:[{row.split()[9]}]" not in sockets


def test_worker_of_a_killed_program_ends(run: Run) -> None:
    """The worker of a killed program ends, and removes its socket."""
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


def test_program_ends_during_a_generation_silently(run: Run) -> None:
    """A program ends without waiting for a generation, and llama.cpp prints nothing."""
    done = run("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_fork_during_a_stream(model: Model) -> None:
    """A stream closed in a forked child continues in the parent."""
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


def test_forked_child_starts_its_own_process(run: Run) -> None:
    """A forked child starts its own process, and leaves its parent's alone."""
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


def test_idle_forked_child_exits_normally(run: Run) -> None:
    """A forked child that sends no request exits as usual."""
    done = run("""
child = os.fork()
if not child:
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_signals_go_to_the_program(run: Run) -> None:
    """SIGINT interrupts the program, not the worker; SIGTERM ends the program."""
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


def test_fork_before_the_first_request(weights: Path, tmp_path: Path) -> None:
    """A forked child may send the first request."""
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
