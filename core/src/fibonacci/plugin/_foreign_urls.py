"""Connection strings of other tools that are no URL, and what to write instead."""

import re
from typing import Final

_FORMS: Final = (
    (
        r"(psql|redis-cli|valkey-cli)\s",
        "is a command: write the URL that stands in it",
    ),
    (
        r"jdbc:",
        "starts with jdbc:, which is Java's: leave that out, as in "
        "postgresql://user:password@host:port/db or sqlite:///file.db",
    ),
    (
        r"(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=",
        "is written in libpq's other form, name=value: write postgresql://user:password@host:port/db",
    ),
    (
        r"(Server|Host|Data Source)\s*=",
        "is written in .NET's form: write postgresql://user:password@host:port/db, or "
        "sqlite:///file.db",
    ),
    (
        r"(export\s+)?\w+\s*=\s*\S+://",
        "has the name of a variable before it: write what stands behind the =",
    ),
    (
        r"redis-sentinel://.*#",
        "is written in Lettuce's form: write redis+sentinel://host:port,host:port/service/db",
    ),
    (
        r"[^/@\s,]+,(.*,)?\s*(password|user|ssl|abortConnect|defaultDatabase)\s*=",
        "is written in StackExchange.Redis's form, as Azure hands it out: write "
        "rediss://:password@host:6380",
    ),
    (
        r"arn:[\w-]+:dynamodb:",
        "is an ARN: write dynamodb://region?table=name, as in dynamodb://eu-west-1?table=fibonacci",
    ),
    (
        r"file:",
        "is written in SQLite's own form: write sqlite:///relative.db or sqlite:////absolute.db "
        "(mode=ro is readonly=true)",
    ),
    (
        r"([\w+]+://)?:memory:$",
        "is SQLite's for records in this process alone: take backend='memory', and no URL",
    ),
    (
        r"[\w.-]+:[0-9]{1,5}(/[0-9]*)?$",
        "has a host and a port, and no scheme before them: write redis://host:port/db, or "
        "postgresql://user:password@host:port/db",
    ),
    (
        r"(~|\.{0,2}/(?!/)|[A-Za-z]:[\\/]|\\\\).*|[^/@:\s]+\.(db|db3|sqlite|sqlite3)$",
        "is a path: write sqlite:///relative.db or sqlite:////absolute.db",
    ),
)
_READ: Final = [(re.compile(form, re.IGNORECASE | re.DOTALL), told) for form, told in _FORMS]


def foreign_url_hint(text: str) -> str | None:
    """Return what the text is where it is no URL, and what to write; None if that is not known."""
    return next((told for form, told in _READ if form.match(text)), None)
