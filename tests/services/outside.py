"""External servers: given by URL, used instead of started, never stopped."""

import os
from urllib.parse import urlsplit

from services.databases import Databases, Rows
from services.dynamodb import DynamoDB
from services.standalone import Redis

REDIS_URL = "FIBONACCI_TEST_REDIS_URL"
POSTGRES_URL = "FIBONACCI_TEST_POSTGRES_URL"
DYNAMODB_URL = "FIBONACCI_TEST_DYNAMODB_URL"


class OutsideRedis(Redis):
    """The server of FIBONACCI_TEST_REDIS_URL: `redis://[user:password@]host:port[/db]`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host, self.port = _address(url)


class OutsidePostgres(Databases):
    """The server of FIBONACCI_TEST_POSTGRES_URL, whose user may create databases."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host, self.port = _address(url)

    def execute(self, sql: str, database: str = "") -> Rows:
        # Only here is psycopg needed: an external server may require passwords and TLS.
        import psycopg

        url = urlsplit(self.url)
        into = url._replace(path=f"/{database}" if database else url.path).geturl()
        with psycopg.connect(into, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            rows = cursor.fetchall() if cursor.description else []
        return [[None if value is None else str(value) for value in row] for row in rows]


class OutsideDynamoDB(DynamoDB):
    """The service of FIBONACCI_TEST_DYNAMODB_URL, on which tables can be created.

    `dynamodb://region`, perhaps with `?endpoint_url=`; credentials are found as boto3 does. The
    tables that tests create there, `fibonacci-test-*`, are not deleted.
    """

    def __init__(self, url: str) -> None:
        self.url = url


def redis() -> OutsideRedis | None:
    """Return the server given by URL, if any."""
    url = os.environ.get(REDIS_URL)
    return OutsideRedis(url) if url else None


def postgres() -> OutsidePostgres | None:
    """Return the server given by URL, if any."""
    url = os.environ.get(POSTGRES_URL)
    return OutsidePostgres(url) if url else None


def dynamodb() -> OutsideDynamoDB | None:
    """Return the service given by URL, if any."""
    url = os.environ.get(DYNAMODB_URL)
    return OutsideDynamoDB(url) if url else None


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if not (parts.hostname and parts.port):
        raise ValueError(f"a URL in {REDIS_URL} or {POSTGRES_URL} lacks host or port")
    return parts.hostname, parts.port
