import pytest

from fibonacci.testing import StoreContract


class TestEtcd(StoreContract):
    backend = "etcd"
    many = 1_100

    @pytest.fixture
    def url(self, etcd):
        return etcd.url
