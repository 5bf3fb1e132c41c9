"""Names that other tools have for what a plugin of ours does."""

from collections.abc import Collection
from typing import Final

_NAMES: Final = {
    "storage": {
        "redis": "rediss valkey valkeys keydb dragonfly elasticache memorydb upstash",
        "postgres": "pg pgsql psql psycopg psycopg2 asyncpg supabase neon cockroachdb timescaledb",
        "dynamodb": "dynamo ddb aws boto3",
        "sqlite": "sqlite3 aiosqlite libsql file disk",
        "memory": "ram dict local inmemory in-memory in_memory",
    },
    "templating": {"jinja": "jinja2", "builtin": "braces default f-string format"},
}
_MEANT: Final = {
    kind: {name: ours for ours, names in kinds.items() for name in names.split()}
    for kind, kinds in _NAMES.items()
}
_CLAUDE: Final = "write claude-sonnet-5-5, or anthropic: and a model's name behind it"


def counterpart(kind: str, name: str, known: Collection[str]) -> str:
    """Return " Did you mean 'x'?", or what to write, for a name of other tools; "" if it is none.

    ``known`` are the plugins' names, told where they differ from the name in capitals alone.
    """
    if kind == "models":
        return _model(name, known)
    small = name.strip().lower()
    meant = small if small in known else _MEANT.get(kind, {}).get(small)
    return f" Did you mean {meant!r}?" if meant else ""


def _model(name: str, known: Collection[str]) -> str:
    provider, slash, rest = name.partition("/")
    if slash and provider in known and rest:
        return f" Did you mean '{provider}:{rest}'?"
    return f" For Claude, {_CLAUDE}." if "claude" in name.lower() else ""
