"""Every available backend, each with a store for only one test; servers come from the farm."""

from itertools import count
from pathlib import Path

import pytest
import redis

BACKENDS = ("memory", "sqlite", "redis", "postgres", "dynamodb")

_stores = count()


def store(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return a backend, and the URL of an empty store."""
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
