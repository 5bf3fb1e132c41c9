"""The account that a server runs under if it refuses to run as root.

It runs in its own namespaces: there root looks like an ordinary user, and its files stay root's.
If the kernel forbids that, root runs it as `nobody`, from a copy of the programs if only root can
read the folders above them; another user runs it under their own account.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import attrs
from services import farm

# With --ipc the shared memory of a killed PostgreSQL goes with it.
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--ipc")
_NOBODY = 65534


@attrs.frozen(kw_only=True)
class Account:
    """An account, and how it starts the programs of a folder."""

    programs: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.programs / program), *arguments]

    def own(self, path: Path) -> None:
        """Give this account write access to `path`, in a folder of the farm."""
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def enter(self, folder: Path) -> None:
        """Let this account enter `folder`, and make it the owner."""
        if self.user is not None:
            folder.parent.chmod(0o711)  # others may pass, and list nothing
        self.own(folder)


def account(programs: Path) -> Account:
    """Return the account for this process's user."""
    if namespaces():
        return Account(programs=programs, prefix=_NAMESPACE)
    return bare(programs)


def bare(programs: Path) -> Account:
    """Return the account for a machine without user namespaces."""
    if os.geteuid() != 0:
        return Account(programs=programs)
    closed = any(not folder.stat().st_mode & 0o001 for folder in programs.parents)
    return Account(programs=_copy(programs) if closed else programs, user=_NOBODY)


@functools.cache
def namespaces() -> bool:
    """Return whether this process may create user namespaces."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _copy(programs: Path) -> Path:
    """Copy a wheel's programs, and the libraries beside them, below the farm's folder."""
    package = programs.parents[1]
    folder = farm.ground().folder("programs")
    folder.chmod(0o755)
    folder.parent.chmod(0o711)
    for tree in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(tree, folder / tree.name)
    return folder / programs.relative_to(package.parent)
