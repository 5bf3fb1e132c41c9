import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # fake_etcd is beside the tests

from fake_etcd import Server


@pytest.fixture(scope="session")
def etcd():
    """An etcd's gateway."""
    with Server() as server:
        yield server


@pytest.fixture
def own_etcd():
    """An etcd's gateway of one test, whose responses it may spoil."""
    with Server() as server:
        yield server
