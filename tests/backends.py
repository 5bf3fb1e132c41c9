"""Every backend that is here, each with a store of the test's own; servers come from the farm."""

from itertools import count
from pathlib import Path

import pytest
import redis

BACKENDS = ("memory", "sqlite", "redis", "postgres", "dynamodb")

_stores = count()


def store(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A backend, and the URL of a store with nothing in it."""
    if name == "memory":
        return name, f"memory://live-{next(_stores)}"
    if name == "sqlite":
        return name, f"sqlite:///{tmp_path}/live.db"
    if name == "dynamodb":
        return name, request.getfixturevalue("dynamodb_server").fresh
    if name == "postgres":
        return name, request.getfixturevalue("postgres_url")
    url = request.getfixturevalue("own_valkey").url
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return name, url
