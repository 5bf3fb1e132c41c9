"""The kinds of servers that tests can ask for, and why one may be missing on a machine."""

import os
from collections.abc import Callable

import attrs
from services import dynamodb, outside, pgbouncer, postgres, redis, valkey

REQUIRE = "FIBONACCI_REQUIRE_SERVICES"


@attrs.frozen
class Kind:
    """One kind of server."""

    name: str
    _missing: Callable[[], str | None]
    _outside: str | None = None

    @property
    def missing(self) -> str | None:
        """Why no test of this kind can run here."""
        given = self._outside is not None and os.environ.get(self._outside)
        return None if given else self._missing()

    def __str__(self) -> str:
        return self.name


VALKEY = Kind("Valkey", valkey.missing, outside.REDIS_URL)
VALKEYS = Kind("several Valkeys", valkey.missing)
REDIS = Kind("Redis 7.0", redis.missing)
TLS = Kind("Redis 7.0 with TLS", redis.missing)
POSTGRES = Kind("PostgreSQL", postgres.missing, outside.POSTGRES_URL)
PGBOUNCER = Kind("PgBouncer", pgbouncer.missing)
DYNAMODB = Kind("DynamoDB", dynamodb.missing, outside.DYNAMODB_URL)
MOTO = Kind("moto", dynamodb.missing)


def required() -> bool:
    """Whether a missing kind is a failure: `FIBONACCI_REQUIRE_SERVICES=1`."""
    return os.environ.get(REQUIRE, "") not in ("", "0")
