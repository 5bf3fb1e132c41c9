"""The statements: all that is ever sent to a table that is there.

A record is live while the server's clock is before ``expires_at``. The clock is
``clock_timestamp()``, as ``now()`` stands still in a transaction, and so while a statement waits
for a row's lock.
"""

from hashlib import blake2b
from typing import Final

import attrs

BYTEA: Final = 17
BYTEAS: Final = 1001
FLOAT8: Final = 701
INT4: Final = 23
# Types by the numbers that every PostgreSQL has for them (src/include/catalog/pg_type.dat).

Parameters = list[bytes | None]
"""A list, as older releases of psycopg take no tuple."""

LIVE: Final = "(expires_at IS NULL OR expires_at > clock_timestamp())"
SWEPT_AT_ONCE: Final = 1_000


@attrs.frozen(kw_only=True, eq=False)
class Statement:
    """One statement with the types of its parameters, all of which go in binary form."""

    name: bytes
    sql: bytes
    types: list[int]
    writes: bool
    formats: list[int] = attrs.field(
        init=False, default=attrs.Factory(lambda one: [1] * len(one.types), takes_self=True)
    )
    """The parameters' formats: all binary."""


@attrs.frozen(kw_only=True)
class Statements:
    """The statements for one table."""

    read: Statement
    write: Statement
    create: Statement
    swap: Statement
    swap_keep: Statement
    remove: Statement
    remaining_ttl_ms: Statement
    touch: Statement
    scan: Statement
    clear: Statement
    read_some: Statement
    read_many: Statement
    write_many: Statement
    remove_many: Statement
    sweep: Statement


def statements(table: str) -> Statements:
    """Return the statements for a table; its name is quoted already."""

    def one(name: str, sql: str, *types: int, writes: bool = True) -> Statement:
        text = sql.format(table=table, live=LIVE, swept=SWEPT_AT_ONCE).encode()
        # A pooler may give us a session on which somebody has prepared the same for another table,
        # or by another release: its name is another one.
        full = f"fibonacci_{name}_{blake2b(text, digest_size=8).hexdigest()}".encode()
        return Statement(name=full, sql=text, types=list(types), writes=writes)

    return Statements(
        read=one("read", _READ, BYTEA, BYTEA, writes=False),
        write=one("write", _WRITE, BYTEA, BYTEA, BYTEA, FLOAT8),
        create=one("create", _CREATE, BYTEA, BYTEA, BYTEA, FLOAT8),
        swap=one("swap", _SWAP, BYTEA, BYTEA, BYTEA, FLOAT8, BYTEA),
        swap_keep=one("swap_keep", _SWAP_KEEP, BYTEA, BYTEA, BYTEA, BYTEA),
        remove=one("remove", _REMOVE, BYTEA, BYTEA),
        remaining_ttl_ms=one("remaining_ttl_ms", _REMAINING, BYTEA, BYTEA, writes=False),
        touch=one("touch", _TOUCH, BYTEA, BYTEA, FLOAT8),
        scan=one("scan", _SCAN, BYTEA, BYTEA, BYTEA, INT4, writes=False),
        clear=one("clear", _CLEAR, BYTEA, BYTEA, INT4),
        read_some=one("read_some", _READ_SOME, BYTEA, BYTEAS, writes=False),
        read_many=one("read_many", _READ_MANY, BYTEAS, BYTEAS, writes=False),
        write_many=one("write_many", _WRITE_MANY, BYTEAS, BYTEAS, BYTEAS, FLOAT8),
        remove_many=one("remove_many", _REMOVE_MANY, BYTEAS, BYTEAS),
        sweep=one("sweep", _SWEEP),
    )


# Null where there is no ttl: what is added to null is null.
_READ: Final = "SELECT value FROM {table} WHERE space = $1 AND key = $2 AND {live}"

_WRITE: Final = """
INSERT INTO {table} (space, key, value, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 ms')
ON CONFLICT (space, key)
DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"""

_CREATE: Final = """
INSERT INTO {table} AS old (space, key, value, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 ms')
ON CONFLICT (space, key)
DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
WHERE old.expires_at <= clock_timestamp()"""

_SWAP: Final = """
UPDATE {table} SET value = $3, expires_at = clock_timestamp() + $4 * interval '1 ms'
WHERE space = $1 AND key = $2 AND value = $5 AND {live}"""

_SWAP_KEEP: Final = """
UPDATE {table} SET value = $3 WHERE space = $1 AND key = $2 AND value = $4 AND {live}"""

_REMOVE: Final = "DELETE FROM {table} WHERE space = $1 AND key = $2 RETURNING {live}"

_REMAINING: Final = """
SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 * 1000
FROM {table} WHERE space = $1 AND key = $2 AND {live}"""

_TOUCH: Final = """
UPDATE {table} SET expires_at = clock_timestamp() + $3 * interval '1 ms'
WHERE space = $1 AND key = $2 AND {live}"""

_SCAN: Final = """
SELECT key FROM {table}
WHERE space = $1 AND key >= $2 AND key < $3 AND {live} ORDER BY key LIMIT $4"""

# All that lock several rows lock them in the order of their keys, so that none waits for another in
# a circle: here as the session scans by the primary key alone (schema.session).
_CLEAR: Final = """
WITH last AS MATERIALIZED (
  SELECT key FROM {table} WHERE space = $1 AND key >= $2 ORDER BY key OFFSET $3 - 1 LIMIT 1
), gone AS (
  DELETE FROM {table}
  WHERE space = $1 AND key >= $2 AND key <= coalesce((SELECT key FROM last), '\\xff'::bytea)
)
SELECT key FROM last"""

_READ_SOME: Final = """
SELECT key, value FROM {table} WHERE space = $1 AND key = ANY ($2) AND {live}"""

# Of several spaces. A subquery for each goes by the primary key, whatever the planner thinks.
_READ_MANY: Final = """
SELECT (SELECT value FROM {table} AS t
        WHERE t.space = asked.space AND t.key = asked.key AND {live})
FROM unnest($1, $2) WITH ORDINALITY AS asked (space, key, place) ORDER BY place"""

_WRITE_MANY: Final = """
INSERT INTO {table} (space, key, value, expires_at)
SELECT space, key, value, clock_timestamp() + $4 * interval '1 ms'
FROM unnest($1, $2, $3) AS given (space, key, value)
ON CONFLICT (space, key)
DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"""

_REMOVE_MANY: Final = """
WITH old AS MATERIALIZED (
  SELECT t.space, t.key FROM unnest($1, $2) AS given (space, key)
  JOIN {table} AS t ON t.space = given.space AND t.key = given.key
  ORDER BY t.space, t.key FOR UPDATE OF t
), gone AS (
  DELETE FROM {table} AS t USING old WHERE t.space = old.space AND t.key = old.key
  RETURNING {live} AS live
)
SELECT count(*) FROM gone WHERE live"""

_SWEEP: Final = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM {table} WHERE expires_at <= clock_timestamp()
  LIMIT {swept} FOR UPDATE SKIP LOCKED))"""
