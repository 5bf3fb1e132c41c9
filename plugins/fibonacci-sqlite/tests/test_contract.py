import pytest
from modes import mostly

from fibonacci.testing import StoreContract


class TestSqlite(StoreContract):
    backend = "sqlite"
    modes = mostly("mixed")

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('db') / 'memory.db'}"
