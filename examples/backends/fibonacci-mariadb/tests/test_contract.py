import pytest

from fibonacci.testing import StoreContract


class TestMariadb(StoreContract):
    backend = "mariadb"
    bulk_size = 1_100

    @pytest.fixture
    def url(self, server):
        return server.url
