"""The SQL statements that are executed on the table.

A record is unexpired while the server's clock is before ``expires_at``. The clock is
``clock_timestamp()``: ``now()`` does not advance in a transaction, not even while a statement waits
for a row's lock.
"""

from hashlib import blake2b
from typing import Final

import attrs

BYTEA: Final = 17
BYTEA_ARRAY: Final = 1001
FLOAT8: Final = 701
INT4: Final = 23
# OIDs of types, the same in every PostgreSQL (src/include/catalog/pg_type.dat).

Parameters = list[bytes | None]
"""A list, as older releases of psycopg accept no tuple."""

UNEXPIRED: Final = "(expires_at IS NULL OR expires_at > clock_timestamp())"
SWEEP_BATCH_SIZE: Final = 1_000
"""Expired rows that one sweep deletes at most."""


@attrs.frozen(kw_only=True, eq=False)
class Statement:
    """One statement with the types of its parameters, which are all sent in binary format."""

    name: bytes
    sql: bytes
    types: list[int]
    writes: bool
    formats: list[int] = attrs.field(
        init=False, default=attrs.Factory(lambda self: [1] * len(self.types), takes_self=True)
    )
    """The parameters' formats: 1 is binary."""


@attrs.frozen(kw_only=True)
class Statements:
    """The statements for one table."""

    read: Statement
    write: Statement
    create: Statement
    compare_and_set: Statement
    compare_and_set_keep_ttl: Statement
    remove: Statement
    remaining_ttl_ms: Statement
    touch: Statement
    scan: Statement
    clear: Statement
    read_many_of_space: Statement
    read_many: Statement
    write_many: Statement
    remove_many: Statement
    sweep: Statement


def build_statements(table: str) -> Statements:
    """Return the statements for a table, whose name is quoted already."""

    def build(name: str, template: str, *types: int, writes: bool = True) -> Statement:
        sql = template.format(
            table=table, unexpired=UNEXPIRED, sweep_batch_size=SWEEP_BATCH_SIZE
        ).encode()
        # On a pooler's session the same statement may have been prepared for another table, or by
        # another release: the digest keeps their names apart.
        digest = blake2b(sql, digest_size=8).hexdigest()
        full_name = f"fibonacci_{name}_{digest}".encode()
        return Statement(name=full_name, sql=sql, types=list(types), writes=writes)

    return Statements(
        read=build("read", _READ, BYTEA, BYTEA, writes=False),
        write=build("write", _WRITE, BYTEA, BYTEA, BYTEA, FLOAT8),
        create=build("create", _CREATE, BYTEA, BYTEA, BYTEA, FLOAT8),
        compare_and_set=build("cas", _CAS, BYTEA, BYTEA, BYTEA, FLOAT8, BYTEA),
        compare_and_set_keep_ttl=build("cas_keep_ttl", _CAS_KEEP_TTL, BYTEA, BYTEA, BYTEA, BYTEA),
        remove=build("remove", _REMOVE, BYTEA, BYTEA),
        remaining_ttl_ms=build("remaining_ttl_ms", _REMAINING_TTL, BYTEA, BYTEA, writes=False),
        touch=build("touch", _TOUCH, BYTEA, BYTEA, FLOAT8),
        scan=build("scan", _SCAN, BYTEA, BYTEA, BYTEA, INT4, writes=False),
        clear=build("clear", _CLEAR, BYTEA, BYTEA, INT4),
        read_many_of_space=build(
            "read_many_of_space", _READ_OF_SPACE, BYTEA, BYTEA_ARRAY, writes=False
        ),
        read_many=build("read_many", _READ_MANY, BYTEA_ARRAY, BYTEA_ARRAY, writes=False),
        write_many=build("write_many", _WRITE_MANY, BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, FLOAT8),
        remove_many=build("remove_many", _REMOVE_MANY, BYTEA_ARRAY, BYTEA_ARRAY),
        sweep=build("sweep", _SWEEP),
    )


_READ: Final = "SELECT value FROM {table} WHERE space = $1 AND key = $2 AND {unexpired}"

# With a null ttl, expires_at is null: adding to null gives null.
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

_CAS: Final = """
UPDATE {table} SET value = $3, expires_at = clock_timestamp() + $4 * interval '1 ms'
WHERE space = $1 AND key = $2 AND value = $5 AND {unexpired}"""

_CAS_KEEP_TTL: Final = """
UPDATE {table} SET value = $3 WHERE space = $1 AND key = $2 AND value = $4 AND {unexpired}"""

_REMOVE: Final = "DELETE FROM {table} WHERE space = $1 AND key = $2 RETURNING {unexpired}"

_REMAINING_TTL: Final = """
SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 * 1000
FROM {table} WHERE space = $1 AND key = $2 AND {unexpired}"""

_TOUCH: Final = """
UPDATE {table} SET expires_at = clock_timestamp() + $3 * interval '1 ms'
WHERE space = $1 AND key = $2 AND {unexpired}"""

_SCAN: Final = """
SELECT key FROM {table}
WHERE space = $1 AND key >= $2 AND key < $3 AND {unexpired} ORDER BY key LIMIT $4"""

# Statements that lock several rows lock them in the order of their keys, so that they don't
# deadlock: here because the session scans only by the primary key (schema.session_options).
_CLEAR: Final = """
WITH last AS MATERIALIZED (
  SELECT key FROM {table} WHERE space = $1 AND key >= $2 ORDER BY key OFFSET $3 - 1 LIMIT 1
), deleted AS (
  DELETE FROM {table}
  WHERE space = $1 AND key >= $2 AND key <= coalesce((SELECT key FROM last), '\\xff'::bytea)
)
SELECT key FROM last"""

_READ_OF_SPACE: Final = """
SELECT key, value FROM {table} WHERE space = $1 AND key = ANY ($2) AND {unexpired}"""

# From several spaces. A subquery for each key uses the primary key, whatever the planner prefers.
_READ_MANY: Final = """
SELECT (SELECT value FROM {table} AS t
        WHERE t.space = requested.space AND t.key = requested.key AND {unexpired})
FROM unnest($1, $2) WITH ORDINALITY AS requested (space, key, position)
ORDER BY position"""

_WRITE_MANY: Final = """
INSERT INTO {table} (space, key, value, expires_at)
SELECT space, key, value, clock_timestamp() + $4 * interval '1 ms'
FROM unnest($1, $2, $3) AS items (space, key, value)
ON CONFLICT (space, key)
DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"""

_REMOVE_MANY: Final = """
WITH old AS MATERIALIZED (
  SELECT t.space, t.key FROM unnest($1, $2) AS items (space, key)
  JOIN {table} AS t ON t.space = items.space AND t.key = items.key
  ORDER BY t.space, t.key FOR UPDATE OF t
), deleted AS (
  DELETE FROM {table} AS t USING old WHERE t.space = old.space AND t.key = old.key
  RETURNING {unexpired} AS unexpired
)
SELECT count(*) FROM deleted WHERE unexpired"""

_SWEEP: Final = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM {table} WHERE expires_at <= clock_timestamp()
  LIMIT {sweep_batch_size} FOR UPDATE SKIP LOCKED))"""
