"""The store contract on PostgreSQL, with and without prepared statements."""

from collections.abc import Mapping
from typing import Any

import pytest
from modes import mostly, without_network_faults
from services.databases import Databases

from fibonacci.testing import StoreContract


class TestPostgres(StoreContract):
    backend = "postgres"
    modes = mostly("mixed")

    @pytest.fixture
    def url(self, postgres_server: Databases) -> str:
        return postgres_server.url


@without_network_faults
class TestUnprepared(TestPostgres):
    options: Mapping[str, Any] = {"prepare": False, "table": "unprepared"}
    modes = mostly("async")
