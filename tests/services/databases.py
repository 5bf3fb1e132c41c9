"""Separate databases on a shared PostgreSQL."""

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

_numbers = itertools.count(1)

Rows = list[list[str | None]]


class Databases(ABC):
    """A PostgreSQL on which databases can be created."""

    host: str
    port: int
    url: str

    @abstractmethod
    def execute(self, sql: str, database: str = "") -> Rows:
        """Run one statement, in the URL's database or another; return its rows as text."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new, empty database, dropped at the end despite open connections."""
        name = f"fibonacci_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


_EMPTY = """
DO $$ DECLARE schema text; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  FOR attempt IN 1..5000 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND pid <> pg_backend_pid() AND backend_type = 'client backend');
    PERFORM pg_sleep(0.001);
  END LOOP;
  FOR schema IN SELECT nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  LOOP EXECUTE format('DROP SCHEMA %I CASCADE', schema); END LOOP;
  CREATE SCHEMA public AUTHORIZATION pg_database_owner;
  GRANT USAGE ON SCHEMA public TO public;
END $$"""


class Spares:
    """Databases that are emptied and reused: creating and dropping one takes five times longer.

    The server ends connections a little after they are closed: the next test counts its own only.
    Objects outside of schemas stay, such as settings of the database.
    """

    def __init__(self, server: Databases, made: ExitStack) -> None:
        self._server = server
        self._made = made
        self._free: list[str] = []

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of an empty database, emptied at the end despite open connections."""
        url = self._free.pop() if self._free else self._made.enter_context(self._server.database())
        yield url
        self._server.execute(_EMPTY, urlsplit(url).path[1:])
        self._free.append(url)
