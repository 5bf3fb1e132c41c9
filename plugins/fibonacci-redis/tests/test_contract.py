"""The contract of stores, on Redis."""

import os
from fibonacci.testing import StoreContract


class TestRedis(StoreContract):
    backend = "redis"
    url = os.environ.get("RURL", "redis://127.0.0.1:20711")
