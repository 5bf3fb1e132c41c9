"""What other tools write in a URL of Redis, and what to write instead."""

from typing import Final

_TIME: Final = "MemoryConfig(timeout=…) has the seconds of a whole request, connecting included"
_OURS: Final = "leave it out, it is seen to"
_LOGIN: Final = "write it before the host, redis://user:password@host"
_TLS: Final = "write rediss:// in the place of redis://"
_NAMES: Final = {
    _TIME: (
        "timeout socket_timeout socket_connect_timeout connect_timeout connection_timeout "
        "read_timeout command_timeout connectTimeout commandTimeout pool_timeout"
    ),
    f"{_OURS} (idle connections are asked whether they still lead anywhere)": (
        "health_check_interval socket_keepalive socket_keepalive_options keepAlive idle_timeout"
    ),
    f"{_OURS} (what surely was not done is tried again until the timeout)": (
        "retry_on_timeout retry_on_error retry max_retries maxRetriesPerRequest"
    ),
    f"{_OURS} (as many connections are made as are needed)": (
        "max_connections pool_size poolSize minIdle maxIdle maxTotal"
    ),
    f"{_OURS} (RESP2 is spoken)": "protocol",
    f"{_OURS} (values are JSON, and text is UTF-8)": (
        "decode_responses encoding encoding_errors charset errors"
    ),
    f"{_OURS} (all addresses of the host are tried)": "family",
    "leave it out (nothing like it is sent)": (
        "client_name lib_name lib_version clientName readonly abortConnect single_connection_client"
    ),
    _LOGIN: "user username password auth",
    _TLS: "ssl tls",
    "write ssl_cert_reqs=none, or better ssl_ca_certs and the file of the authority": (
        "insecure skip_verify tlsInsecure rejectUnauthorized"
    ),
    "write db": "database virtual_host defaultDatabase",
    "write the service behind the hosts: redis+sentinel://host:port/service/db": (
        "service_name master_name sentinelMasterId sentinel_master_name master mymaster"
    ),
    "MemoryConfig(key_prefix=…) has it": "prefix key_prefix keyPrefix namespace global_keyprefix",
}
OPTIONS: Final = {name: told for told, names in _NAMES.items() for name in names.split()}
"""Options of redis-py, kombu, Lettuce, ioredis and others, with what to write."""

_SENTINEL: Final = "redis+sentinel://host:port,host:port/service/db"
SCHEMES: Final = {
    "sentinel": _SENTINEL,
    "redis-sentinel": _SENTINEL,
    "rediss-sentinel": f"rediss{_SENTINEL[5:]}",
    "redis-cluster": "redis+cluster://host:port,host:port",
    "rediss-cluster": "rediss+cluster://host:port,host:port",
    "redis+socket": "unix:///path",
    "redis-socket": "unix:///path",
    "redis+unix": "unix:///path",
    "redis+ssl": "rediss://host:port/db",
    "redis+tls": "rediss://host:port/db",
    "tls": "rediss://host:port/db",
    "https": "rediss://:password@host:port (an https:// address is one of a REST service)",
    "http": "redis://:password@host:port (an http:// address is one of a REST service)",
    "tcp": "redis://host:port/db",
}
"""Schemes of other tools, with what to write."""
