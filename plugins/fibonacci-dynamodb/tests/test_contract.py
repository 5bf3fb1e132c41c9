"""The contract of stores, on DynamoDB."""

import pytest
from modes import mostly
from services.dynamodb import DynamoDB

from fibonacci.testing import StoreContract


class TestDynamoDB(StoreContract):
    backend = "dynamodb"
    modes = mostly("mixed")
    bulk_size = 1_100  # more than a page; moto takes its time
    max_examples = 8

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, dynamodb_server: DynamoDB) -> str:
        return dynamodb_server.fresh
