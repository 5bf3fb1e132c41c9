import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the gateway stands beside the tests

from gateway import Server


@pytest.fixture(scope="session")
def etcd():
    """An etcd's gateway."""
    with Server() as server:
        yield server
