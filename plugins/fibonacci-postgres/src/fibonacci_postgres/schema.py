"""The table: what it is made of, how it is found, and how it is made, once, whoever comes first."""

from typing import Final

VERSION: Final = 1
"""Of the layout; it stands in the table's comment."""

LOCK: Final = 0x6669626F6E616363
"""The advisory lock that is held while the table is made: "fibonacc", as a number."""

_SQL: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
  space bytea NOT NULL,              -- key prefix, scope and owner, each behind its length
  key bytea NOT NULL,                -- UTF-8: in the order of code points
  value bytea NOT NULL,              -- JSON, or sealed bytes
  expires_at timestamptz,            -- never, where it is null
  PRIMARY KEY (space, key)
);
CREATE INDEX IF NOT EXISTS {index} ON {table} (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE {table} IS 'fibonacci-postgres, schema {version}';
-- Three times faster for large values, where the server has it (PostgreSQL 14 and later).
DO $do$ BEGIN
  EXECUTE 'ALTER TABLE {table} ALTER COLUMN value SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN NULL;
END $do$;
"""

_SEARCH: Final = """\
SELECT
  substring(obj_description(found, 'pg_class') from '^fibonacci-postgres, schema ([0-9]+)')::int
FROM to_regclass('{table}') AS found WHERE found IS NOT NULL"""


def quoted(table: str) -> str:
    """Return the table's name as SQL writes it, with its schema's if that is given."""
    return ".".join(f'"{part}"' for part in table.split("."))


def creation(table: str) -> str:
    """Return the SQL that makes the table; where it is there already, nothing happens."""
    index = quoted(table.rpartition(".")[2] + "_expires_at")
    return _SQL.format(table=quoted(table), index=index, version=VERSION)


def locked_creation(table: str) -> bytes:
    """Return the same for several processes at once: one transaction under a lock.

    ``CREATE TABLE IF NOT EXISTS`` alone fails for most of those who come together. And who comes
    second does nothing: to make the index and to set the compression locks a table that others
    use already, and takes turns with their statements in a deadlock.
    """
    return f"""\
SELECT pg_advisory_xact_lock({LOCK});
DO $make$ BEGIN IF to_regclass('{quoted(table)}') IS NULL THEN
{creation(table)}
END IF; END $make$""".encode()


def search(table: str) -> bytes:
    """Return the SQL that says whether the table is there, and the version in its comment."""
    return _SEARCH.format(table=quoted(table)).encode()


def session_options(milliseconds: int) -> str:
    """Return the options that a session begins with, as libpq sends them when it connects.

    Statements go by the primary key, whatever the statistics say: it is faster, and rows are locked
    in the order of their keys. And the server gives up on a statement in time.

    They end with the session. A statement that sets them would set them, behind a pooler, for
    whoever is given the server's connection next; as options a pooler refuses or ignores them.
    """
    return f"-c statement_timeout={milliseconds} -c enable_seqscan=off -c enable_bitmapscan=off"
