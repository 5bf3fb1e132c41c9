"""As whom a server runs that refuses to run as root.

An ordinary user runs it as it is. Root runs it in a user namespace, where it looks like an ordinary
user and its files stay root's; where the kernel forbids that, as `nobody`, from a copy of the
programs if the folders above them are root's alone.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import attrs

from services import farm

# With --ipc even the shared memory of a killed PostgreSQL goes.
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--ipc")
_NOBODY = 65534


@attrs.frozen(kw_only=True)
class Account:
    """How to start the programs of a folder."""

    programs: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.programs / program), *arguments]

    def own(self, folder: Path) -> None:
        """Make `folder` one that this account can write to."""
        if self.user is not None:
            os.chown(folder, self.user, self.user)
            folder.parent.chmod(0o711)  # others may pass, and list nothing


def account(programs: Path) -> Account:
    """The account for this process's own user."""
    if os.geteuid() != 0:
        return Account(programs=programs)
    if namespaces():
        return Account(programs=programs, prefix=_NAMESPACE)
    return nobody(programs)


def nobody(programs: Path) -> Account:
    """The account of root where there are no namespaces."""
    closed = any(not folder.stat().st_mode & 0o001 for folder in programs.parents)
    return Account(programs=_copy(programs) if closed else programs, user=_NOBODY)


@functools.cache
def namespaces() -> bool:
    """Whether root may make a user namespace here."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _copy(programs: Path) -> Path:
    """A copy below the farm's folder, with the libraries beside."""
    folder = farm.ground().folder("programs")
    folder.chmod(0o755)
    folder.parent.chmod(0o711)
    return shutil.copytree(programs.parent, folder / programs.parent.name) / programs.name
