"""Connection strings of other tools that are not URLs, and what to write instead."""

import re
from typing import Final

_FORMS: Final = (
    (
        r"(psql|redis-cli|valkey-cli)\s",
        "is a command: write only the URL in it",
    ),
    (
        r"jdbc:",
        "starts with jdbc:, which only Java uses: remove that, as in "
        "postgresql://user:password@host:port/db or sqlite:///file.db",
    ),
    (
        r"(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=",
        "is in libpq's other format, name=value: write postgresql://user:password@host:port/db",
    ),
    (
        r"(Server|Host|Data Source)\s*=",
        "is in .NET's format: write postgresql://user:password@host:port/db, or sqlite:///file.db",
    ),
    (
        r"(export\s+)?\w+\s*=\s*\S+://",
        "has the name of a variable before it: write only what follows the =",
    ),
    (
        r"redis-sentinel://.*#",
        "is in Lettuce's format: write redis+sentinel://host:port,host:port/service/db",
    ),
    (
        r"[^/@\s,]+,(.*,)?\s*(password|user|ssl|abortConnect|defaultDatabase)\s*=",
        "is in StackExchange.Redis's format, as Azure shows it: write rediss://:password@host:6380",
    ),
    (
        r"arn:[\w-]+:dynamodb:",
        "is an ARN: write dynamodb://region?table=name, as in dynamodb://eu-west-1?table=fibonacci",
    ),
    (
        r"file:",
        "is in SQLite's own format: write sqlite:///relative.db or sqlite:////absolute.db "
        "(mode=ro is readonly=true)",
    ),
    (
        r"([\w+]+://)?:memory:$",
        "is SQLite's URL for data in memory: use backend='memory' without a URL",
    ),
    (
        r"[\w.-]+:[0-9]{1,5}(/[0-9]*)?$",
        "has a host and a port, but no scheme before them: write redis://host:port/db, or "
        "postgresql://user:password@host:port/db",
    ),
    (
        r"(~|\.{0,2}/(?!/)|[A-Za-z]:[\\/]|\\\\).*|[^/@:\s]+\.(db|db3|sqlite|sqlite3)$",
        "is a path: write sqlite:///relative.db or sqlite:////absolute.db",
    ),
)
_PATTERNS: Final = [(re.compile(form, re.IGNORECASE | re.DOTALL), hint) for form, hint in _FORMS]


def foreign_url_hint(text: str) -> str | None:
    """Return which tool's format this is, and what to write instead; None if it is unknown."""
    return next((hint for pattern, hint in _PATTERNS if pattern.match(text)), None)
