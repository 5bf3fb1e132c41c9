"""The SQL that creates the table, finds it, and configures a session."""

from typing import Final

VERSION: Final = 1
"""The version of the table's layout, stored in the table's comment."""

ADVISORY_LOCK: Final = 0x6669626F6E616363
"""The advisory lock held while the table is created: "fibonacc" as a number."""

_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  space bytea NOT NULL,              -- key prefix, scope and owner, each after its length
  key bytea NOT NULL,                -- UTF-8: sorted by code point
  value bytea NOT NULL,              -- JSON, or sealed
  expires_at timestamptz,            -- null: never
  PRIMARY KEY (space, key)
);
CREATE INDEX IF NOT EXISTS {index} ON {table} (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE {table} IS 'fibonacci-postgres, schema {version}';
-- Three times faster for large values, if the server supports it (PostgreSQL 14 and later).
DO $do$ BEGIN
  EXECUTE 'ALTER TABLE {table} ALTER COLUMN value SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $do$;
"""

_FIND: Final = """\
SELECT
  substring(obj_description(found, 'pg_class') from '^fibonacci-postgres, schema ([0-9]+)')::int
FROM to_regclass('{table}') AS found WHERE found IS NOT NULL"""


def quote_name(table: str) -> str:
    """Return a table's name, with its schema's if it has one, quoted for SQL."""
    return ".".join(f'"{part}"' for part in table.split("."))


def create_table_sql(table: str) -> str:
    """Return the SQL that creates the table; it does nothing if the table exists."""
    index = quote_name(table.rpartition(".")[2] + "_expires_at")
    return _CREATE.format(table=quote_name(table), index=index, version=VERSION)


def create_table_once_sql(table: str) -> bytes:
    """Return the SQL that creates the table, for several processes at once.

    It is one transaction under an advisory lock, and selects whether it has created the table: only
    then has the transaction an id.

    ``CREATE TABLE IF NOT EXISTS`` fails for most of the processes that run it at the same time. And
    the SQL does nothing if the table exists: creating the index and setting the compression would
    lock a table that is in use, and deadlock with other statements.
    """
    return f"""\
SELECT pg_advisory_xact_lock({ADVISORY_LOCK});
DO $make$ BEGIN IF to_regclass('{quote_name(table)}') IS NULL THEN
{create_table_sql(table)}
END IF; END $make$;
SELECT pg_current_xact_id_if_assigned() IS NOT NULL""".encode()


def find_table_sql(table: str) -> bytes:
    """Return the SQL that selects the version in the table's comment; no row if it is missing."""
    return _FIND.format(table=quote_name(table)).encode()


def session_options(timeout_ms: int) -> str:
    """Return the options that a session begins with, as libpq sends them when it connects.

    The planner uses the primary key, whatever the statistics say: it is faster, and rows are locked
    in the order of their keys. And the server cancels a statement after ``timeout_ms``.

    The options end with the session. With a pooler, SET statements would also apply to the next
    client of the server's connection; options are rejected or ignored by poolers.
    """
    return f"-c statement_timeout={timeout_ms} -c enable_seqscan=off -c enable_bitmapscan=off"
