import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the gateway stands beside the tests

from fake_etcd import Server


@pytest.fixture(scope="session")
def etcd():
    """An etcd's gateway."""
    with Server() as server:
        yield server


@pytest.fixture
def own_etcd():
    """An etcd's gateway of the test's own, to be spoiled."""
    with Server() as server:
        yield server
