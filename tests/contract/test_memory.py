from fibonacci.testing import StoreContract


class TestMemory(StoreContract):
    backend = "memory"
