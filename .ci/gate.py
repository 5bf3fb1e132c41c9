"""What .ci/run runs: ./test as a new user runs it, then what one interpreter can't show."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from steps import BUDGET, CHECKOUT, Outcome, Step, report, tox

SINCE = time.monotonic()
DEBIAN = {
    "redis-server": "redis-server",
    "pgbouncer": "pgbouncer",
    "mariadbd": "mariadb-server",
}
"""Programs that come only from Debian, and their packages: a Redis 7.0 with TLS, a transaction
pooler, and the server of an example."""
PYTHONS = ("3.11", "3.12", "3.13")


def main() -> bool:
    """Run all steps, even if one fails; return whether all passed."""
    outcomes = [*steps()]
    missing = [name for name in PYTHONS if not shutil.which(f"python{name}")]
    for name in missing:
        print(f"FAILED: python{name} is missing")
    green = report(outcomes, budget=BUDGET["ci"], since=SINCE)
    # Last, so that the end of the log shows how many tests ran.
    print("\n".join(f"{outcome.name}: {line}" for outcome in outcomes for line in outcome.closing))
    return green and not missing


def steps() -> Iterator[Outcome]:
    """Run the steps, and yield their outcomes."""
    with tempfile.TemporaryDirectory() as folder:
        bare = new_user(Path(folder))
        yield bare.run()
        tested = subprocess.check_output(
            ["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            env=bare.environment,
            text=True,
        ).strip()
    install_programs()
    required = {**os.environ, "FIBONACCI_REQUIRE_SERVICES": "1"}
    for name in ["3.12", "3.13", *{"3.11"} - {tested}]:
        yield tox(f"tests-py{name.replace('.', '')}", environment=required).run()
    yield tox("site", shows="^build succeeded").run()
    yield tox("core-only", shows="^smoke: ok").run()
    yield tox("wheels", environment=required).run()
    yield tox("examples", environment=required).run()
    yield install().run()
    yield tox("lowest-py311", environment=required).run()
    yield tox("lowest-py313", environment=required).run()


def new_user(folder: Path) -> Step:
    """./test in a fresh clone, with an empty home, and without programs that few machines have."""
    clone, home = folder / "clone", folder / "home"
    subprocess.run(["git", "clone", "-q", CHECKOUT, clone], check=True)
    home.mkdir()
    cache = Path.home() / ".cache"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FIBONACCI_", "PYENV_", "PYTHON", "VIRTUAL_ENV", "XDG_"))
    }
    environment |= {
        "HOME": str(home),
        "PATH": str(programs(folder / "bin")),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(cache / "uv")),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(cache / "pip")),
    }
    budget = BUDGET["cpu"]["bare"]
    return Step(
        name="bare", command=["./test"], folder=clone, environment=environment, budget=budget
    )


def install() -> Step:
    """Return the step that follows the README's installation."""
    command = [sys.executable, str(CHECKOUT / ".ci" / "install.py"), str(CHECKOUT)]
    budget = BUDGET["cpu"]["install"]
    return Step(name="install", command=command, shows="^install: ok", budget=budget)


def programs(folder: Path) -> Path:
    """Create a folder for PATH: the system's programs, without those of DEBIAN."""
    folder.mkdir()
    left_out = ("redis-", "pgbouncer", "mariadb")
    for system in map(Path, ("/usr/local/bin", "/usr/bin", "/bin")):
        for program in system.iterdir():
            link = folder / program.name
            if not link.is_symlink() and not program.name.startswith(left_out):
                link.symlink_to(program)
    return folder


def install_programs() -> None:
    """Install the programs of DEBIAN; if that fails, the tests that need them report it."""
    os.environ["PATH"] += ":/usr/sbin"  # where Debian installs two of them
    wanted = [package for program, package in DEBIAN.items() if not shutil.which(program)]
    # RUNLEVEL keeps a package from starting its service.
    quiet = {**os.environ, "RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    if wanted:
        subprocess.run(["apt-get", "-qq", "update"], env=quiet, check=False)
        command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted]
        subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(not main())
