"""The contract of stores, kept on PostgreSQL: as it comes, and as a transaction pooler needs it."""

from typing import ClassVar

import pytest
from services.postgres import Postgres

from fibonacci.testing import StoreContract


class TestPostgres(StoreContract):
    backend = "postgres"

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, postgres_server: Postgres) -> str:
        return postgres_server.url


class TestUnprepared(TestPostgres):
    options: ClassVar = {"prepare": False, "table": "unprepared"}
