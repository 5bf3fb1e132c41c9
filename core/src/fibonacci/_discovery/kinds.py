"""The kinds of plugins, what errors call them, and the names other tools have for ours."""

from collections.abc import Collection, Mapping
from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of plugin."""

    name: str
    hook: str
    noun: str
    short_noun: str
    extras: Mapping[str, str]
    """Plugins that we publish, and the extra of fibonacci-core that installs each."""


KINDS: Final = {
    "storage": Kind(
        name="storage",
        hook="fibonacci_storage",
        noun="storage backend",
        short_noun="backend",
        extras={name: name for name in ("redis", "postgres", "dynamodb", "sqlite")},
    ),
    "encryption": Kind(
        name="encryption",
        hook="fibonacci_encryption",
        noun="encryption",
        short_noun="encryption",
        extras={"aes-256-gcm": "crypto"},
    ),
    "templating": Kind(
        name="templating",
        hook="fibonacci_templating",
        noun="template engine",
        short_noun="template engine",
        extras={"jinja": "jinja"},
    ),
    "models": Kind(
        name="models",
        hook="fibonacci_model",
        noun="model provider",
        short_noun="model provider",
        extras={"anthropic": "anthropic", "claude-": "anthropic", "llamacpp": "llamacpp"},
    ),
}


_NAMES_ELSEWHERE: Final = {
    "storage": {
        "redis": "rediss valkey valkeys keydb dragonfly elasticache memorydb upstash",
        "postgres": "pg pgsql psql psycopg psycopg2 asyncpg supabase neon cockroachdb timescaledb",
        "dynamodb": "dynamo ddb aws boto3",
        "sqlite": "sqlite3 aiosqlite libsql file disk",
        "memory": "ram dict local inmemory in-memory in_memory",
    },
    "templating": {"jinja": "jinja2", "builtin": "braces default f-string format"},
}
_OUR_NAMES: Final = {
    kind: {name: ours for ours, names in kinds.items() for name in names.split()}
    for kind, kinds in _NAMES_ELSEWHERE.items()
}
_CLAUDE_HINT: Final = "write claude-sonnet-5-5, or anthropic: followed by a model's name"


def suggest_name(kind: str, name: str, known: Collection[str]) -> str:
    """Return " Did you mean 'x'?", or what to write, for a name that other tools use; else "".

    ``known`` are the plugins' names, suggested if the name differs in case only.
    """
    if kind == "models":
        return _suggest_model(name, known)
    lowercase = name.strip().lower()
    suggestion = lowercase if lowercase in known else _OUR_NAMES.get(kind, {}).get(lowercase)
    return f" Did you mean {suggestion!r}?" if suggestion else ""


def _suggest_model(name: str, known: Collection[str]) -> str:
    provider, slash, rest = name.partition("/")
    if slash and provider in known and rest:
        return f" Did you mean '{provider}:{rest}'?"
    return f" For Claude, {_CLAUDE_HINT}." if "claude" in name.lower() else ""
