"""The contract of stores, kept on PostgreSQL: as it comes, and as a transaction pooler needs it."""

import pytest

from fibonacci.testing import StoreContract
from services.postgres import Postgres


class TestPostgres(StoreContract):
    backend = "postgres"

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, postgres_server: Postgres) -> str:
        return postgres_server.url


class TestUnprepared(TestPostgres):
    options = {"prepare": False, "table": "unprepared"}
