"""Secrets: no message, repr or log contains a password or a value, whatever fails (C23)."""

import logging
import signal
import traceback

import pytest
from alarms import Alarm, alarms
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow
from fibonacci.errors import ConfigurationError, FibonacciError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci.testing.network import BlackHole, Pass, Reset, lost_reply
from fibonacci_postgres.settings import read_settings

from .rejecting_server import rejecting_server
from .stores import A, Attempt, OpenStore, StoreClient, StorePerVerb, create_backend

PASSWORD = "s3cr3t-canary"
VALUE = b"v4lue-canary"


def render(*things: object) -> str:
    """Return all texts of some objects: repr, str, and errors with their whole chain."""
    texts = []
    for thing in things:
        texts += [repr(thing), str(thing)]
        if isinstance(thing, BaseException):
            texts += traceback.format_exception(thing, chain=True)
            texts += [repr(vars(thing)), repr(thing.__context__), repr(thing.__cause__)]
    return "\n".join(texts)


def is_ours(path: str) -> bool:
    """Return whether a file belongs to core or a plugin, even if they are installed."""
    return "/src/fibonacci" in path or "/site-packages/fibonacci" in path


def render_variables(error: BaseException) -> str:
    """Return the local variables of our functions in a traceback, as error reporters show them."""
    texts = []
    current: BaseException | None = error
    while current is not None:
        trace = traceback.TracebackException.from_exception(current, capture_locals=True)
        ours = [frame for frame in trace.stack if is_ours(frame.filename)]
        texts += [f"{frame.name}: {frame.locals}" for frame in ours]
        current = current.__cause__ or current.__context__
    assert texts
    return "\n".join(texts)


@pytest.mark.parametrize(
    "change",
    [
        "{url}",
        "{url}?sslmode=require",
        "{url}?options=-c%20{password}%3D1",
        "{url}?sslpassword={password}",
        "{url}?passfile=/{password}",
        "postgresql://postgres:{password}@127.0.0.1:1/db",
        "postgresql://postgres:{password}@no-such-host.invalid/db",
        "postgresql://%7Bnobody:{password}@127.0.0.1:1,127.0.0.1:2/db",
    ],
)
def test_connection_errors_hide_the_password(
    open_store: OpenStore, postgres_url: str, change: str
) -> None:
    """A failed connection does not reveal the password, wherever the URL contains it."""
    with_password = postgres_url.replace("postgres@", f"postgres:{PASSWORD}@")
    url = change.format(url=with_password, password=PASSWORD)
    store = open_store(url, timeout=1)
    attempt = Attempt(store, "write", A, VALUE, None)
    text = render(attempt.error, store.store, store.store.__dict__)
    assert PASSWORD not in text
    assert VALUE.decode() not in text
    assert attempt.error is None or PASSWORD not in render_variables(attempt.error)


def test_quoted_password_is_masked(open_store: OpenStore) -> None:
    """If the server's message quotes the password, the error and its frames do not."""
    with rejecting_server("28P01", f"wrong, {PASSWORD}") as server:
        store = open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:{server.port}/db")
        error = Attempt(store, "write").error
    assert "wrong, ***" in str(error)
    assert error is not None
    assert PASSWORD not in render(error) + render_variables(error)


@pytest.mark.bare
def test_interrupted_connection_hides_the_password(postgres_proxy: Proxy) -> None:
    """An exception raised while connecting does not reveal the password in its frames."""
    url = postgres_proxy.url.replace("postgres@", f"postgres:{PASSWORD}@")
    store = StoreClient("sync", create_backend(url))
    with alarms(), postgres_proxy.fault(BlackHole()):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm) as caught:
            store.read(A)
    assert PASSWORD not in render_variables(caught.value)
    store.shut_down()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:{password}@h/db?sslmod=require",
        "postgresql://me@h/db?password={password}&nonsense=1",
        "postgresql://me:{password}@h/db?user=you",
        "mysql://me:{password}@h/db",
        "postgresql://me:{password}@h/db?sslmode={password}",
        "postgresql://me:{password}@h/db?connect_timeout={password}",
        "postgresql://me:{password}@h/db?target_session_attrs={password}",
    ],
)
def test_rejected_urls_hide_the_password_in_frames(url: str) -> None:
    """The frames of an error about a URL do not reveal the password."""
    parsed = StoreURL.parse(url.format(password=PASSWORD))
    with pytest.raises(ConfigurationError) as caught:
        read_settings(StoreSettings(url=parsed, options={}, timeout=5.0))
    assert PASSWORD not in render_variables(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:{password}%zz@h/db",
        "postgresql://me:{password}@h:port/db",
        "postgresql://me:a/{password}@h/db",
        "mysql://me:{password}@h/db",
        "postgresql://me:{password}@h/db?nonsense={password}",
        "postgresql://me:{password}@h/db?prepare={password}",
        "postgresql://me:{password}@h/db?table={password}",
        "postgresql://me:{password}@h/db?max_connections={password}",
        "postgresql://me:{password}@h/db?password={password}",
        "postgresql://me:{password}@h/db?sslmode={password}",
        "postgresql://me:{password}@h/db?sslrootcert=/nowhere/{password}",
    ],
)
def test_rejected_urls_hide_the_password(url: str) -> None:
    """An error about a URL does not reveal the password."""
    config = MemoryConfig(backend="postgres", connection_url=url.format(password=PASSWORD))
    with pytest.raises(FibonacciError) as caught:
        Workflow("w", config)
    assert PASSWORD not in render(caught.value)


@pytest.mark.parametrize("fault", [lost_reply(), BlackHole(), Reset()], ids=repr)
def test_network_faults_hide_secrets(
    open_store: OpenStore, postgres_proxy: Proxy, caplog: pytest.LogCaptureFixture, fault: Pass
) -> None:
    """After a network fault neither the error nor the log reveals a value or the password."""
    caplog.set_level(logging.DEBUG)
    url = postgres_proxy.url.replace("postgres@", f"postgres:{PASSWORD}@")
    stores = StorePerVerb(open_store, url, value=VALUE)
    stores.prepare()
    with postgres_proxy.fault(fault):
        attempts = stores.attempt(0.3)
    for verb, attempt in attempts.items():
        text = render(attempt.error)
        assert attempt.error, verb
        assert PASSWORD not in text
        assert VALUE.decode() not in text
    assert PASSWORD not in caplog.text
    assert VALUE.decode() not in caplog.text


def test_repr_names_only_the_server(open_store: OpenStore, postgres_url: str) -> None:
    """The repr of a store names the server and nothing else."""
    store: StoreClient = open_store(postgres_url.replace("postgres@", f"postgres:{PASSWORD}@"))
    store.write(A, VALUE, None)
    text = repr(store.store)
    assert "PostgreSQL at 127.0.0.1" in text
    assert PASSWORD not in render(store.store, store.store.__dict__)
