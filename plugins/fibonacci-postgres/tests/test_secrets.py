"""Passwords and values stand in no message, no repr and no log, whatever goes wrong (C23)."""

import logging
import signal
import traceback

import pytest
from alarms import Alarm, alarms
from services.faults import BlackHole, Pass, Reset, lost_reply
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow
from fibonacci.errors import ConfigurationError, FibonacciError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_postgres.settings import read_settings

from .rejecting_server import rejecting_server
from .stores import A, Attempt, OpenStore, StoreClient, StorePerVerb, create_backend

PASSWORD = "s3cr3t-canary"
VALUE = b"v4lue-canary"


def told(*things: object) -> str:
    """All that is said of some things: reprs, texts, and errors with their whole chain."""
    texts = []
    for one in things:
        texts += [repr(one), str(one)]
        if isinstance(one, BaseException):
            texts += traceback.format_exception(one, chain=True)
            texts += [repr(vars(one)), repr(one.__context__), repr(one.__cause__)]
    return "\n".join(texts)


def is_ours(path: str) -> bool:
    """Say whether it is a file of core or the plugin, also where they are installed."""
    return "/fibonacci" in path and "/tests/" not in path


def shown(fault: BaseException) -> str:
    """What a reporter of errors shows of it: the variables of all our functions on its way."""
    texts = []
    one: BaseException | None = fault
    while one is not None:
        trace = traceback.TracebackException.from_exception(one, capture_locals=True)
        ours = [frame for frame in trace.stack if is_ours(frame.filename)]
        texts += [f"{frame.name}: {frame.locals}" for frame in ours]
        one = one.__cause__ or one.__context__
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
def test_connecting(open_store: OpenStore, postgres_url: str, change: str) -> None:
    """An error of a connection does not tell the password, wherever the URL has it."""
    with_password = postgres_url.replace("postgres@", f"postgres:{PASSWORD}@")
    url = change.format(url=with_password, password=PASSWORD)
    store = open_store(url, timeout=1)
    attempt = Attempt(store, "write", A, VALUE, None)
    text = told(attempt.error, store.store, store.store.__dict__)
    assert PASSWORD not in text
    assert VALUE.decode() not in text
    assert attempt.error is None or PASSWORD not in shown(attempt.error)


def test_wrong_password(open_store: OpenStore) -> None:
    """Nor does one that says that the password is wrong, to whoever looks at its variables."""
    with rejecting_server("28P01", f"wrong, {PASSWORD}") as server:
        store = open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:{server.port}/db")
        fault = Attempt(store, "write").error
    assert "wrong, ***" in str(fault)
    assert fault is not None
    assert PASSWORD not in told(fault) + shown(fault)


@pytest.mark.bare
def test_interrupted_while_connecting(postgres_proxy: Proxy) -> None:
    """Nor does an exception that comes out of the midst of connecting."""
    url = postgres_proxy.url.replace("postgres@", f"postgres:{PASSWORD}@")
    store = StoreClient("sync", create_backend(url))
    with alarms(), postgres_proxy.fault(BlackHole()):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm) as caught:
            store.read(A)
    assert PASSWORD not in shown(caught.value)
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
def test_variables_of_refused_urls(url: str) -> None:
    """Nor do the variables of what refuses a URL."""
    parsed = StoreURL.parse(url.format(password=PASSWORD))
    with pytest.raises(ConfigurationError) as caught:
        read_settings(StoreSettings(url=parsed, options={}, timeout=5.0))
    assert PASSWORD not in shown(caught.value)


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
def test_refused_urls(url: str) -> None:
    """Nor does an error of a URL that is refused."""
    config = MemoryConfig(backend="postgres", connection_url=url.format(password=PASSWORD))
    with pytest.raises(FibonacciError) as caught:
        Workflow("w", config)
    assert PASSWORD not in told(caught.value)


@pytest.mark.parametrize("fault", [lost_reply(), BlackHole(), Reset()], ids=repr)
def test_faults(
    open_store: OpenStore, postgres_proxy: Proxy, caplog: pytest.LogCaptureFixture, fault: Pass
) -> None:
    """No fault of the network has an error or a log entry tell a value or the password."""
    caplog.set_level(logging.DEBUG)
    url = postgres_proxy.url.replace("postgres@", f"postgres:{PASSWORD}@")
    stores = StorePerVerb(open_store, url, value=VALUE)
    stores.prepare()
    with postgres_proxy.fault(fault):
        attempts = stores.attempt(0.3)
    for verb, attempt in attempts.items():
        text = told(attempt.error)
        assert attempt.error, verb
        assert PASSWORD not in text
        assert VALUE.decode() not in text
    assert PASSWORD not in caplog.text
    assert VALUE.decode() not in caplog.text


def test_reprs(open_store: OpenStore, postgres_url: str) -> None:
    """The repr of a store names the server and nothing else."""
    store: StoreClient = open_store(postgres_url.replace("postgres@", f"postgres:{PASSWORD}@"))
    store.write(A, VALUE, None)
    text = repr(store.store)
    assert "PostgreSQL at 127.0.0.1" in text
    assert PASSWORD not in told(store.store, store.store.__dict__)
