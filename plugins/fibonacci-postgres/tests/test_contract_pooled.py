"""The store contract on PostgreSQL through a transaction pooler, with prepare=off."""

from collections.abc import Mapping
from typing import Any

import pytest
from modes import mostly
from services.pgbouncer import PgBouncer

from fibonacci.testing import StoreContract


class TestPooled(StoreContract):
    backend = "postgres"
    options: Mapping[str, Any] = {"prepare": False}
    modes = mostly("mixed")

    @pytest.fixture
    def url(self, pgbouncer_server: PgBouncer) -> str:
        return pgbouncer_server.url
