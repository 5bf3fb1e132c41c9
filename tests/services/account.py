"""As whom PostgreSQL runs: it refuses to run as root.

An ordinary user runs it as it is. Root runs it in a user namespace, where it looks like an ordinary
user and its files stay root's; where the kernel forbids that, as `nobody`, from a copy of the
programs, since the folders above an environment may be root's alone.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import attrs

from services import farm

_NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
_NOBODY = 65534


@attrs.frozen(kw_only=True)
class Account:
    """How to start a program, and where it lies for whom it runs as."""

    programs: Path
    prefix: list[str] = []
    user: int | None = None

    def own(self, folder: Path) -> None:
        """Make `folder` one that this account can write to."""
        if self.user is not None:
            os.chown(folder, self.user, self.user)


def account(programs: Path) -> Account:
    """The account for this process's own user."""
    if os.geteuid() != 0:
        return Account(programs=programs)
    if namespaces():
        return Account(programs=programs, prefix=_NAMESPACE)
    return Account(programs=_copy(programs), user=_NOBODY)


@functools.cache
def namespaces() -> bool:
    """Whether root may make a user namespace here."""
    if shutil.which(_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _copy(programs: Path) -> Path:
    """A copy that anyone can read, below the farm's folder."""
    folder = farm.ground().folder("programs")
    folder.chmod(0o755)
    folder.parent.chmod(0o711)  # others may pass, and list nothing
    return shutil.copytree(programs, folder / programs.name)
