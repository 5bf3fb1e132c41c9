"""MariaDB, if the machine has it: the example `fibonacci-mariadb` starts one for its tests."""

import shutil

from services.availability import unavailable


def binary() -> str:
    """Return the path of the executable."""
    found = shutil.which("mariadbd")
    if found is None:
        unavailable("MariaDB", "no mariadbd on PATH", "apt-get install mariadb-server")
    return found
