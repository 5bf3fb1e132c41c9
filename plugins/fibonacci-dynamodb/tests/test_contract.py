"""The contract of stores, kept on DynamoDB."""

import pytest
from modes import mostly
from services.dynamodb import DynamoDB

from fibonacci.testing import StoreContract


class TestDynamoDB(StoreContract):
    backend = "dynamodb"
    voices = mostly("mixed")

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, dynamodb_server: DynamoDB) -> str:
        return dynamodb_server.fresh
