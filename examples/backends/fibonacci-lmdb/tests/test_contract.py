import os
from tempfile import TemporaryDirectory

import pytest

from fibonacci.testing import StoreContract

MEMORY = "/dev/shm"  # thousands of commits, each a wait for the disk where there is one


class TestLmdb(StoreContract):
    backend = "lmdb"
    bulk_size = 1_100

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls):
        with TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
            yield f"lmdb:///{folder}/memory.mdb"
