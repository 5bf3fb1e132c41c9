"""Nothing outlives the process that started it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from services import account, farm, postgres
from services.process import Process
from services.reaper import family, living
from services.waiting import wait_until

OWNER = """
    import sys, time
    from services import farm, postgres, valkey

    servers = [valkey.standalone(), postgres.standalone(), valkey.standalone()]
    servers[2].pause()
    print(farm.ground().folder("last").parent, *(server.pid for server in servers), flush=True)
    {end}
"""


@pytest.fixture
def owner():
    """A process that starts servers, and reports its folder and their pids."""
    started = []

    def start(end):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(OWNER).format(end=end)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        folder, *pids = process.stdout.readline().split()
        return process, Path(folder), [p for pid in pids for p in family(pid=int(pid))]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_a_killed_owner_leaves_nothing(owner, number):
    """Whatever signal ends the owner, its servers end, paused or not, and their folders go."""
    process, folder, pids = owner("time.sleep(600)")
    assert len(pids) > 3  # PostgreSQL's are several
    assert folder.is_dir()
    process.send_signal(number)
    process.wait()
    wait_until(lambda: not living(pids) and not folder.exists(), 60)


def test_an_owner_that_exits_leaves_nothing(owner):
    """An owner that exits without closing its farm leaves nothing."""
    process, folder, pids = owner("sys.exit()")
    process.wait()
    wait_until(lambda: not living(pids) and not folder.exists(), 60)


def test_close_waits_for_the_farm():
    """`close` returns when all is gone; the next farm is a new one."""
    ours = farm.Farm()
    process = ours.spawn(["sleep", "600"], ours.folder("sleep"), None)
    folder = ours.folder("last").parent
    ours.close()
    assert process.returncode == -signal.SIGINT
    assert not folder.exists()


def test_process_that_ignores_sigint_is_killed(monkeypatch):
    """A process that ignores SIGINT is killed after a while, and its children too."""
    monkeypatch.setattr("services.process._STOP_TIMEOUT", 0.2)
    process = Process(["sh", "-c", "trap '' INT; sleep 600; :"], farm.ground().folder("deaf"))
    process.start()
    wait_until(lambda: len(family(pid=process.pid)) == 2, 60)
    members = family(pid=process.pid)
    process.stop()
    assert not living(members)


@pytest.mark.parametrize("kind", [account.account, account.bare])
def test_postgres_runs_as_another_user_than_root(kind, monkeypatch):
    """PostgreSQL runs under any user, with and without user namespaces."""
    monkeypatch.setattr(postgres, "account", kind)
    with postgres.standalone() as server:
        assert server.execute("SELECT 1") == [["1"]]


def test_postgres_runs_from_a_private_folder(tmp_path, monkeypatch):
    """PostgreSQL runs if the environment is in a folder that only this user can read."""
    tmp_path.chmod(0o700)
    found = postgres.binaries()
    site = found.parents[2]
    (tmp_path / "site").symlink_to(site)
    monkeypatch.setattr(postgres, "account", account.bare)
    monkeypatch.setattr(postgres, "binaries", lambda: tmp_path / "site" / found.relative_to(site))
    with postgres.standalone() as server:
        assert server.execute("SELECT 1") == [["1"]]
