"""What other tools write in a URL of SQLite, and what to write instead."""

from typing import Final

_NAMES: Final = {
    "write readonly=true (mode=ro and immutable=1 mean that), or leave it out": "mode immutable",
    "leave it out, it is seen to": (
        "uri cache check_same_thread isolation_level detect_types cached_statements nolock vfs "
        "journal_mode _journal_mode foreign_keys _foreign_keys _fk _pragma _txlock pool_size "
        "connection_limit max_connections"
    ),
    "MemoryConfig(timeout=…) has the seconds of a whole operation": (
        "timeout busy_timeout _busy_timeout _timeout socket_timeout"
    ),
    "write synchronous": "_synchronous _sync",
}
ELSEWHERE: Final = {name: told for told, names in _NAMES.items() for name in names.split()}
"""Options of sqlite3, SQLAlchemy, Prisma, Go's driver and others, with what to write."""
