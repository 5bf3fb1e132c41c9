"""The records of a backend as they are stored: read and written by the raw driver.

The layouts are those that the README files document.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import boto3
import psycopg
import redis

from fibonacci.plugin import Address, encode_parts


class Inside(ABC):
    """What an attacker with the server's password, but without a key, can see and do."""

    @abstractmethod
    def read(self, address: Address) -> bytes:
        """Return the bytes of a record."""

    @abstractmethod
    def replace(self, records: Mapping[Address, bytes]) -> None:
        """Replace the bytes of existing records."""

    @abstractmethod
    def dump(self) -> bytes:
        """Return all that is stored, names included."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class InsideRedis(Inside):
    def __init__(self, url: str) -> None:
        self.client: Any = redis.Redis.from_url(url)

    def key(self, address: Address) -> str:
        prefix, scope, owner = address.space
        return f"{prefix}v1:{{{scope[0]}:{quote(owner, safe='')}}}:{address.key}"

    def read(self, address: Address) -> bytes:
        return self.client.get(self.key(address))

    def replace(self, records: Mapping[Address, bytes]) -> None:
        pipeline = self.client.pipeline()
        for address, data in records.items():
            pipeline.set(self.key(address), data, xx=True, keepttl=True)
        assert all(pipeline.execute())

    def dump(self) -> bytes:
        keys = sorted(self.client.scan_iter())
        parts = [part for key in keys for part in (key, self.client.dump(key))]
        strings = [key for key in keys if self.client.type(key) == b"string"]
        return b"\n".join([*parts, *self.client.mget(strings)])

    def close(self) -> None:
        self.client.close()


class InsidePostgres(Inside):
    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)

    def row(self, address: Address) -> tuple[bytes, bytes]:
        return encode_parts(*address.space), address.key.encode()

    def read(self, address: Address) -> bytes:
        sql = "SELECT value FROM fibonacci WHERE space = %b AND key = %b"
        row = self.connection.execute(sql, self.row(address)).fetchone()
        assert row is not None
        return row[0]

    def replace(self, records: Mapping[Address, bytes]) -> None:
        sql = "UPDATE fibonacci SET value = %b WHERE space = %b AND key = %b"
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, [(data, *self.row(one)) for one, data in records.items()])
            assert cursor.rowcount == len(records)

    def dump(self) -> bytes:
        rows = self.connection.execute("SELECT space, key, value FROM fibonacci", binary=True)
        texts = self.connection.execute("SELECT fibonacci::text FROM fibonacci")
        whole = [b"\n".join(row) for row in rows]
        return b"\n".join([*whole, *[text.encode() for (text,) in texts]])

    def close(self) -> None:
        self.connection.close()


class InsideDynamoDB(Inside):
    def __init__(self, url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        region, (self.table,) = urlsplit(url).hostname, query["table"]
        endpoint = query.get("endpoint_url", [None])[0]
        self.client: Any = boto3.Session().client(
            "dynamodb", region_name=region, endpoint_url=endpoint
        )

    def item(self, address: Address) -> dict[str, Any]:
        return {"pk": {"S": " ".join(address.space)}, "sk": {"S": address.key}}

    def read(self, address: Address) -> bytes:
        found = self.client.get_item(
            TableName=self.table, Key=self.item(address), ConsistentRead=True
        )
        return found["Item"]["v"]["B"]

    def replace(self, records: Mapping[Address, bytes]) -> None:
        puts = [
            {"PutRequest": {"Item": {**self.item(one), "v": {"B": data}}}}
            for one, data in records.items()
        ]
        answer = self.client.batch_write_item(RequestItems={self.table: puts})
        assert not answer["UnprocessedItems"]

    def dump(self) -> bytes:
        items = self.client.scan(TableName=self.table, ConsistentRead=True)["Items"]
        return b"\n".join([repr(item).encode() + item["v"]["B"] for item in items])

    def close(self) -> None:
        self.client.close()


class InsideSqlite(Inside):
    def __init__(self, url: str) -> None:
        self.path = Path(url.removeprefix("sqlite:///"))
        self.database = sqlite3.connect(self.path, isolation_level=None)

    def row(self, address: Address) -> tuple[bytes, bytes]:
        return encode_parts(*address.space), address.key.encode()

    def read(self, address: Address) -> bytes:
        sql = "SELECT value FROM fibonacci_records WHERE space = ? AND key = ?"
        return self.database.execute(sql, self.row(address)).fetchone()[0]

    def replace(self, records: Mapping[Address, bytes]) -> None:
        sql = "UPDATE fibonacci_records SET value = ? WHERE space = ? AND key = ?"
        rows = [(data, *self.row(address)) for address, data in records.items()]
        assert self.database.executemany(sql, rows).rowcount == len(records)

    def dump(self) -> bytes:
        files = sorted(self.path.parent.glob(f"{self.path.name}*"))
        return b"\n".join(file.read_bytes() for file in files)

    def close(self) -> None:
        self.database.close()


INSIDES: dict[str, type[Any]] = {
    "redis": InsideRedis,
    "postgres": InsidePostgres,
    "dynamodb": InsideDynamoDB,
    "sqlite": InsideSqlite,
}
"""By backend: called with the URL of the store."""
