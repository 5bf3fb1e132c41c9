import pytest

from fibonacci.testing import StoreContract


class TestEtcd(StoreContract):
    backend = "etcd"
    bulk_size = 1_100

    @pytest.fixture
    def url(self, etcd):
        return etcd.url
