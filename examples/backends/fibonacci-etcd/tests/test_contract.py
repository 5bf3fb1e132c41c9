import pytest

from fibonacci.testing import StoreContract


class TestEtcd(StoreContract):
    backend = "etcd"

    @pytest.fixture
    def url(self, etcd):
        return etcd.url
