"""What other tools write in a URL of PostgreSQL, and what to write instead."""

from typing import Final

_TIME: Final = "MemoryConfig(timeout=…) has the seconds of a whole request, connecting included"
_PREPARE: Final = "write prepare=off, which is what a transaction pooler needs"
_TLS: Final = (
    "write sslmode=require, or sslmode=verify-full and sslrootcert with the file of the authority"
)
_SESSION: Final = "settings of a session are written options=-c%20name%3Dvalue"
_NAMES: Final = {
    _PREPARE: (
        "pgbouncer prepareThreshold preparedStatementCacheQueries prepared_statements "
        "prepare_threshold statement_cache_size prepared_statement_cache_size "
        "statement_cache_capacity statement_cache_mode default_query_exec_mode no_prepare"
    ),
    "write table=schema.fibonacci, as in table=public.fibonacci": (
        "schema currentSchema search_path searchpath"
    ),
    "write max_connections": (
        "connection_limit pool_size max_overflow min_size max_size maxPoolSize maximumPoolSize "
        "minPoolSize max pool_max_conns pool_min_conns max_pool_size min_pool_size conn_limit"
    ),
    _TIME: (
        "pool_timeout timeout command_timeout query_timeout socket_timeout socketTimeout "
        "connectTimeout connectionTimeout loginTimeout connection_timeout acquire_timeout"
    ),
    f"{_TIME}; {_SESSION}": (
        "statement_timeout lock_timeout idle_in_transaction_session_timeout server_settings"
    ),
    "leave it out, it is seen to": (
        "pool_recycle pool_pre_ping pool_max_conn_lifetime pool_max_conn_idle_time max_idle "
        "max_lifetime max_inactive_connection_lifetime idleTimeout maxLifetime "
        "binary_parameters reWriteBatchedInserts uselibpqcompat supa workaround conn_max_age"
    ),
    _TLS: "ssl sslaccept sslfactory ssl_min_protocol require_ssl tls sslidentity",
    "write application_name": "ApplicationName applicationName app_name",
    "write target_session_attrs": "targetServerType",
    "write keepalives": "tcpKeepAlive tcp_keepalive keepAlive",
}
OPTIONS: Final = {name: told for told, names in _NAMES.items() for name in names.split()}
"""Options of Prisma, SQLAlchemy, JDBC, node-postgres, asyncpg, pgx and others: what to write."""

VALUES: Final = {
    "sslmode": (
        "must be disable, allow, prefer, require, verify-ca or verify-full (no-verify, as "
        "node-postgres has it, is require)"
    ),
    "target_session_attrs": (
        "must be any, read-write, read-only, primary, standby or prefer-standby"
    ),
    "channel_binding": "must be require, prefer or disable",
    "service": "is not in libpq's service file",
}
"""What libpq takes as a value, where that is short to tell."""
