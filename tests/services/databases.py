"""Databases of their own on a shared PostgreSQL."""

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_numbers = itertools.count(1)

Rows = list[list[str | None]]


class Databases(ABC):
    """A PostgreSQL on which databases can be made."""

    host: str
    port: int
    url: str

    @abstractmethod
    def execute(self, sql: str, database: str = "") -> Rows:
        """Run one statement, in the URL's own database or another; its rows, as text."""

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, dropped in the end whoever is still connected."""
        name = f"fibonacci_test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
