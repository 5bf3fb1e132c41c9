import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # certificates and server are beside the tests

from certificates import create_certificate
from server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A MariaDB of this run."""
    folder = tmp_path_factory.mktemp("mariadb")
    create_certificate(folder)
    with Server(folder) as server:
        yield server
