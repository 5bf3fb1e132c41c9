"""Settings: what a connection URL may contain, and what is rejected before connecting."""

from typing import Any

import pytest

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_postgres.parameters import ConnectionParameters
from fibonacci_postgres.settings import Settings, read_settings


def read(url: str | None, **options: Any) -> Settings:
    """Return the settings for a URL."""
    parsed = None if url is None else StoreURL.parse(url)
    return read_settings(StoreSettings(url=parsed, options=options, timeout=5.0))


def rejection(url: str | None, **options: Any) -> str:
    """Return the message of the error for a URL."""
    with pytest.raises(ConfigurationError) as caught:
        read(url, **options)
    return str(caught.value)


def test_parts_of_the_url() -> None:
    """User, password, host, port and database are passed to libpq, decoded."""
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


def test_empty_url_sets_nothing() -> None:
    """What the URL leaves out is left to libpq and its environment variables."""
    assert read("postgresql://").parameters == ConnectionParameters()


def test_several_hosts() -> None:
    """Several hosts keep their order and their ports."""
    parameters = read("postgresql://a:1,b,[::1]:3/db").parameters
    assert (parameters.get("host"), parameters.get("port")) == ("a,b,::1", "1,,3")


def test_query_parameters_go_to_libpq() -> None:
    """Parameters of libpq in the query are passed on unchanged."""
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
    """The backend's options may be in the URL or in options, and are not passed to libpq."""
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
def test_on_off_options(text: str, value: bool) -> None:
    """On and true mean True; off and false mean False."""
    assert read(f"postgresql://h/db?create={text}").create is value
    assert read("postgresql://h/db", create=value).create is value


def test_defaults() -> None:
    """By default create and prepare are on, and max_connections is 10."""
    settings = read("postgresql://h/db")
    assert (settings.create, settings.prepare) == (True, True)
    assert (settings.table, settings.max_connections) == ("fibonacci", 10)


@pytest.mark.parametrize(
    ("url", "message"),
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
        ("postgresql://<host>/db", "a host in the connection URL may contain only letters"),
        (f"postgresql://a,{'h' * 64}/db", "a host in the connection URL is too long"),
        ("postgresql:///db?host=http%3A%2F%2Fh", "a host in the connection URL is not an IPv6"),
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
def test_invalid_url_is_rejected(url: str | None, message: str) -> None:
    """An invalid URL is a ConfigurationError with a hint."""
    assert message in rejection(url)


def test_invalid_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid value of an environment variable is an error that names only the variable."""
    monkeypatch.setenv("PGSSLMODE", "hunter2")
    message = rejection("postgresql://me:secret@h/db")
    assert message.startswith(
        "PGSSLMODE must be disable, allow, prefer, require, verify-ca or verify"
    )
    assert not any(text in message for text in ("hunter2", "secret"))
    monkeypatch.delenv("PGSSLMODE")
    monkeypatch.setenv("PGAPPNAME", "app")
    assert read("postgresql://me:secret@h/db?gssencmode=require&connect_timeout=-1")


def test_invalid_options_are_rejected() -> None:
    """Unknown, foreign, invalid and contradictory options are rejected."""
    assert "'sslmode'" in rejection("postgresql://h/db", sslmode="require")
    assert "write prepare=off" in rejection("postgresql://h/db", pgbouncer=True)
    assert "another in options" in rejection("postgresql://h/db?create=on", create=False)
    assert "must be" in rejection("postgresql://h/db", prepare=1)
    assert "a table's name" in rejection("postgresql://h/db", table=7)


def test_location() -> None:
    """The location in errors is the server and the database, without the login."""
    assert read("postgresql://me:secret@a:1,[::1]/db?options=x").location == "a:1,[::1]/db"
    assert read("postgresql:///db").location == "its default address/db"


def test_repr_hides_secrets() -> None:
    """The repr of the settings does not contain the password (C23)."""
    assert "secret" not in repr(read("postgresql://me:secret@h/db?sslpassword=secret"))
