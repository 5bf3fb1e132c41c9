"""What a connection URL may say, and what is refused before anything is connected to."""

from typing import Any

import pytest

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_postgres.parameters import ConnectionParameters
from fibonacci_postgres.settings import Settings, read_settings


def read(url: str | None, **options: Any) -> Settings:
    """What the hook makes of a URL."""
    parsed = None if url is None else StoreURL.parse(url)
    return read_settings(StoreSettings(url=parsed, options=options, timeout=5.0))


def refusal(url: str | None, **options: Any) -> str:
    """The error's text."""
    with pytest.raises(ConfigurationError) as caught:
        read(url, **options)
    return str(caught.value)


def test_parts() -> None:
    """User, password, host, port and database go to libpq, decoded."""
    assert read(
        "postgres://me:s%40cret@db.example:5433/my%20db"
    ).parameters == ConnectionParameters(
        {
            "user": "me",
            "password": "s@cret",
            "host": "db.example",
            "port": "5433",
            "dbname": "my db",
        }
    )


def test_nothing_said() -> None:
    """What the URL leaves out is left to libpq, which knows PGHOST and the rest."""
    assert read("postgresql://").parameters == ConnectionParameters()


def test_several_hosts() -> None:
    """Several hosts keep their order and their ports."""
    parameters = read("postgresql://a:1,b,[::1]:3/db").parameters
    assert (parameters.get("host"), parameters.get("port")) == ("a,b,::1", "1,,3")


def test_every_parameter_of_libpq() -> None:
    """Other names in the query go to libpq as they are."""
    url = "postgresql:///db?host=%2Fvar%2Frun&sslmode=verify-full&options=-c%20geqo%3Doff"
    assert read(
        url + "&target_session_attrs=read-write&application_name=x"
    ).parameters == ConnectionParameters(
        {
            "dbname": "db",
            "host": "/var/run",
            "sslmode": "verify-full",
            "options": "-c geqo=off",
            "target_session_attrs": "read-write",
            "application_name": "x",
        }
    )


def test_own_options() -> None:
    """Our options stand in the URL or beside it, and none of them goes to libpq."""
    url = "postgresql://h/db?create=false&prepare=off&table=ours.memory&max_connections=3"
    for settings in (
        read(url),
        read(
            "postgresql://h/db", create=False, prepare=False, table="ours.memory", max_connections=3
        ),
    ):
        assert settings.parameters == ConnectionParameters({"host": "h", "dbname": "db"})
        assert (settings.create, settings.prepare) == (False, False)
        assert (settings.table, settings.max_connections) == ("ours.memory", 3)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("true", True), ("false", False)])
def test_switches(text: str, value: bool) -> None:
    """On and off, true and false mean what they say."""
    assert read(f"postgresql://h/db?create={text}").create is value
    assert read("postgresql://h/db", create=value).create is value


def test_defaults() -> None:
    """By default the table is made, statements are prepared, and ten connections are kept."""
    settings = read("postgresql://h/db")
    assert (settings.create, settings.prepare) == (True, True)
    assert (settings.table, settings.max_connections) == ("fibonacci", 10)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "needs a connection URL"),
        ("mysql://h/db", "not mysql://"),
        ("postgresql+psycopg://h/db", "not postgresql+psycopg://: leave the driver out"),
        ("postgresql+asyncpg://h/db", "starts with postgresql://"),
        ("postgresql://h/db?pgbouncer=true&connection_limit=1", "'pgbouncer': write prepare=off"),
        ("postgresql://h/db?schema=public", "'schema': write table=schema.fibonacci, as in table="),
        ("postgresql://h/db?connection_limit=1", "'connection_limit': write max_connections"),
        ("postgresql://h/db?pool_size=5", "'pool_size': write max_connections"),
        ("postgresql://h/db?pool_timeout=5", "use MemoryConfig(timeout=…), the seconds"),
        ("postgresql://h/db?statement_timeout=5", "options=-c%20name%3Dvalue"),
        ("postgresql://h/db?ssl=true", "'ssl': write sslmode=require, or sslmode=verify-full"),
        ("postgresql://h/db?sslmode=no-verify", "'sslmode' must be disable, allow, prefer, requi"),
        ("postgresql://h/db?channel_binding=on", "'channel_binding' must be require"),
        ("postgresql://h/db?require_auth=zzz", "'require_auth' has a value that libpq does not"),
        ("postgresql://h/db?service=none", "'service' is not in libpq's service file"),
        ("postgresql://h/db?connect_timeout=5s", "'connect_timeout' must be a whole number"),
        ("postgresql://<host>/db", "a host in the connection URL may hold letters"),
        (f"postgresql://a,{'h' * 64}/db", "a host in the connection URL is too long"),
        ("postgresql:///db?host=http%3A%2F%2Fh", "a host in the connection URL is no IPv6"),
        ("postgresql:///db?hostaddr=10.0.0.1,a", "'hostaddr' must be an IP address"),
        ("postgresql:///db?hostaddr=10.0.0.1,::1&port=1,2,3", "has 2 hosts, but 3 of port"),
        ("postgresql:///db?host=a&port=70000", "a port in the connection URL must be a number"),
        (
            "postgresql:///db?host=a,b,c&port=1,2",
            "has 3 hosts, but 2 of port: set one",
        ),
        ("postgresql://h/db?creat=off", "Did you mean 'create'?"),
        ("postgresql://h/db?sslmod=require", "Did you mean 'sslmode'?"),
        ("postgresql://h/db?zzz=1", "neither backend 'postgres' nor libpq"),
        ("postgresql://me@h/db?user=you", "'user' twice"),
        ("postgresql://h/db?host=other", "'host' twice"),
        ("postgresql://h/db?prepare=maybe", "must be on or off"),
        ("postgresql://h/db?max_connections=0", "1 or more"),
        ("postgresql://h/db?table=a.b.c", "a table's name"),
        ('postgresql://h/db?table=a";drop', "a table's name"),
        (f"postgresql://h/db?table={'t' * 49}", "at most 48"),
    ],
)
def test_refused(url: str | None, says: str) -> None:
    """A URL that can't be meant is refused, with the nearest name where there is one."""
    assert says in refusal(url)


def test_values_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What libpq would not take from a variable is told with the variable, and nothing quoted."""
    monkeypatch.setenv("PGSSLMODE", "hunter2")
    said = refusal("postgresql://me:secret@h/db")
    assert said.startswith("PGSSLMODE must be disable, allow, prefer, require, verify-ca or verify")
    assert not any(text in said for text in ("hunter2", "secret"))
    monkeypatch.delenv("PGSSLMODE")
    monkeypatch.setenv("PGAPPNAME", "app")
    assert read("postgresql://me:secret@h/db?gssencmode=require&connect_timeout=-1")


def test_refused_options() -> None:
    """So is an option that is none, or that is given twice with two values."""
    assert "'sslmode'" in refusal("postgresql://h/db", sslmode="require")
    assert "write prepare=off" in refusal("postgresql://h/db", pgbouncer=True)
    assert "another in options" in refusal("postgresql://h/db?create=on", create=False)
    assert "must be" in refusal("postgresql://h/db", prepare=1)
    assert "a table's name" in refusal("postgresql://h/db", table=7)


def test_where() -> None:
    """Errors name the server and the database, and nobody's login."""
    assert read("postgresql://me:secret@a:1,[::1]/db?options=x").location == "a:1,[::1]/db"
    assert read("postgresql:///db").location == "its default address/db"


def test_no_secret_in_repr() -> None:
    """The repr of the settings has no password (C23)."""
    assert "secret" not in repr(read("postgresql://me:secret@h/db?sslpassword=secret"))
