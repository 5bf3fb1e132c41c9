"""What libpq is told to connect, kept from everybody else: it holds a password."""

import os
from collections.abc import Mapping
from typing import Final

import attrs

_NOWHERE: Final = "/nowhere/fibonacci"


@attrs.frozen(repr=False)
class ConnectionParameters:
    """Connection parameters by their libpq names.

    No mapping, and without a repr of its values: what reports an error shows the variables of each
    function that it came through, and looks into mappings.
    """

    _values: Mapping[str, str] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(self._values)}>"

    def get(self, name: str) -> str:
        """Return a parameter, or what libpq takes where it is not given."""
        from fibonacci_postgres.driver import ambient  # libpq knows, and takes 0.2 s

        return self._values.get(name) or ambient(name)

    def has(self, name: str) -> bool:
        """Say whether a parameter is given."""
        return name in self._values

    def but(self, **values: str) -> "ConnectionParameters":
        """Return the same with some values set."""
        return ConnectionParameters({**self._values, **values})

    def with_options(self, options: str) -> "ConnectionParameters":
        """Return the same with options of the session; those that the user gave count more.

        Nothing is changed where a service file may have some: they would be replaced.
        """
        if self.get("service"):
            return self
        return self.but(options=f"{options} {self.get('options')}".rstrip())

    def conninfo(self, defaults: Mapping[str, str]) -> bytes:
        """Return all of them as libpq reads them; they go before the defaults."""
        from fibonacci_postgres.driver import conninfo

        return conninfo({**defaults, **self._values})

    def refused(self) -> str | None:
        """Return the name of one whose value libpq does not take; None if it takes them all.

        libpq looks them over before it connects. To do that alone, it is given a socket that there
        is not; and no such encryption as it does not do over sockets.
        """
        from fibonacci_postgres.driver import named_in, pq

        asked = self.but(host=_NOWHERE, hostaddr="", port="")
        if self.get("gssencmode") in ("", "require"):  # or a service file's, which only libpq reads
            asked = asked.but(gssencmode="prefer")
        said = pq.PGconn.connect_start(asked.conninfo({})).error_message.decode(errors="replace")
        return None if _NOWHERE in said else named_in(said)

    def source(self, name: str) -> str:
        """Return where a value comes from, as errors name it."""
        from fibonacci_postgres.driver import variable_of

        variable = variable_of(name)
        if self.has(name) or not os.environ.get(variable):
            return f"option {name!r}"
        return variable

    def masked(self, text: str) -> str:
        """Return what libpq said, on one line, and without the secrets that it was given."""
        from fibonacci_postgres.driver import secret_names

        for name in secret_names():
            if self.get(name):
                text = text.replace(self.get(name), "***")
        return " ".join(text.split())
