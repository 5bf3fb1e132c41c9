"""The contract of stores, on DynamoDB."""

import pytest
from modes import mostly
from services.dynamodb import DynamoDB, Moto

from fibonacci.testing import StoreContract


class TestDynamoDB(StoreContract):
    backend = "dynamodb"
    modes = mostly("mixed")
    bulk_size = 1_100  # more than a page; moto takes its time
    max_examples = 8

    @pytest.fixture(autouse=True)
    def served(self, dynamodb_server: DynamoDB) -> None:
        if isinstance(dynamodb_server, Moto):
            self.server_address = f"{dynamodb_server.host}:{dynamodb_server.port}"

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, dynamodb_server: DynamoDB) -> str:
        return dynamodb_server.fresh
