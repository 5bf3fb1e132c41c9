"""Keys and values appear in no message, repr, traceback or log (C23)."""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from services.dynamodb import REGION, Moto
from services.proxy import Proxy

from fibonacci import MemoryManager, OutcomeUnknownError, StorageError
from fibonacci.testing.network import BlackHole, lost_reply

from .aws_ledger import Ledger
from .aws_responses import Responder, error
from .conftest import ADDRESS, Open, OpenStore, ready, soon

KEY, SECRET, TOKEN, VALUE = "AKIACANARY", "canary-secret", "canary-token", "canary-value"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Captures all log records from DEBUG on."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that a test can search for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def exercise(memory: MemoryManager) -> list[str]:
    """Call all methods on records that contain the canary; return the tracebacks as text."""
    texts = [repr(memory)]
    for act in (
        lambda: memory.set("k", [VALUE]),
        lambda: memory.append("k", VALUE),
        lambda: memory.get("k"),
        lambda: memory.get_many(["k", "other"]),
        lambda: memory.set_many({"k": [VALUE], "other": VALUE}),
        lambda: memory.touch("k", 60),
        lambda: memory.list_keys(),
        lambda: memory.set("k", [VALUE] * 40_000),
        lambda: memory.delete("k"),
        lambda: memory.clear(),
    ):
        try:
            act()
        except StorageError as error:
            texts.append("".join(traceback.format_exception(error)))
    return texts


def locals_of_ours(error: BaseException | None) -> str:
    """Return the local variables in our frames of an error, its context and its cause."""
    if error is None:
        return ""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame.locals for frame in shown.stack if frame.filename != __file__]
    return f"{error!r}{ours}{locals_of_ours(error.__context__)}{locals_of_ours(error.__cause__)}"


@pytest.mark.usefixtures("canaries")
def test_tracebacks_show_no_keys(moto_server: Moto, moto_proxy: Proxy, open_store: OpenStore):
    """No frame of ours in a traceback has a secret key or a session token in its variables."""
    url = moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
    store = open_store(url)
    store.exists(ADDRESS, deadline=soon())
    with moto_proxy.fault(BlackHole()), pytest.raises(OutcomeUnknownError) as caught:
        store.write(ADDRESS, b"1", None, deadline=soon(0.2))
    shown = locals_of_ours(caught.value)
    assert "exchange" in shown  # these are the right frames
    assert not any(canary in shown for canary in (SECRET, TOKEN))


@pytest.mark.parametrize(
    "configured",
    [
        f"[default]\ncredential_process = /bin/sh -c 'echo {SECRET} >&2; exit 3'\n",
        f"[default]\naws_secret_access_key = {SECRET}\n[broken\n",
    ],
    ids=["process", "broken"],
)
def test_tracebacks_show_no_configured_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, open_store: OpenStore, configured: str
):
    """No traceback shows keys from AWS configuration files or credentials programs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(configured)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = open_store(f"dynamodb://{REGION}?endpoint_url=http://127.0.0.1:1")
    with pytest.raises(StorageError) as caught:
        store.exists(ADDRESS, deadline=soon())
    assert SECRET not in locals_of_ours(caught.value)


def clean(text: str) -> bool:
    """Return whether a text contains no canary, apart from this file's lines in tracebacks."""
    return not any(canary in text for canary in (KEY, SECRET, TOKEN, VALUE))


@pytest.mark.usefixtures("canaries")
def test_debug_log_of_our_calls_shows_no_secrets(
    moto_server: Moto, open_memory: Open, logged: pytest.LogCaptureFixture
):
    """botocore's DEBUG log shows no keys or values of our calls."""
    errors = exercise(open_memory(moto_server.fresh))
    assert len(errors) == 2  # the repr, and the error for the record that is too large
    assert all(map(clean, errors))
    assert clean(logged.text)


@pytest.mark.usefixtures("canaries")
def test_debug_log_of_failed_calls_shows_no_secrets(
    moto_server: Moto, moto_proxy: Proxy, open_memory: Open, logged: pytest.LogCaptureFixture
):
    """botocore's DEBUG log shows no keys or values of calls whose connection failed."""
    url = moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
    open_memory(url).exists("k")
    memory = ready(open_memory(url, timeout=0.15))
    with moto_proxy.fault(lost_reply()):
        errors = exercise(memory)
    assert len(errors) > 2
    assert all(map(clean, errors))
    assert clean(logged.text)


def leaking(code: str) -> Responder:
    """Return an error as AWS sends it: with the signed text, or the value that it refuses."""
    canonical = f"x-amz-security-token:{TOKEN} Credential={KEY} {VALUE}"
    return error(code, message=f"The canonical string should have been {canonical}")


@pytest.mark.usefixtures("canaries")
@pytest.mark.parametrize("code", ["InvalidSignatureException", "ValidationException", "Strange"])
def test_error_messages_of_aws_are_not_passed_on(
    table_url: str,
    open_memory: Open,
    ledger: Ledger,
    logged: pytest.LogCaptureFixture,
    code: str,
):
    """An error of AWS that quotes keys and values is raised without its message."""
    memory = open_memory(table_url, name=f"secrets {code}")
    memory.exists("k")
    for operation in ("PutItem", "GetItem", "BatchGetItem", "BatchWriteItem", "Query"):
        ledger.script.always(operation, leaking(code))
    errors = exercise(memory)
    assert len(errors) > 5
    assert all(map(clean, errors))
    assert clean(logged.text)


@pytest.mark.usefixtures("canaries")
def test_logs_of_other_clients_are_unchanged(
    moto_server: Moto, open_memory: Open, logged: pytest.LogCaptureFixture
):
    """The DEBUG log of an application's own client is unchanged."""
    url = moto_server.fresh
    open_memory(url).set("k", 1)
    logged.clear()
    endpoint = f"http://{moto_server.host}:{moto_server.port}"
    client = boto3.Session().client("dynamodb", region_name=REGION, endpoint_url=endpoint)
    client.list_tables(Limit=7)
    assert "ListTables" in logged.text
    assert TOKEN in logged.text


def test_repr_shows_no_proxy_password(tmp_path: Path):
    """The repr of an endpoint does not show the proxy's password."""
    from fibonacci_dynamodb.connection import Endpoint
    from fibonacci_dynamodb.environment import Proxy

    endpoint = Endpoint(address=("h", 1), use_tls=False, proxy=Proxy(("p", 2), "canary"))
    assert "canary" not in repr(endpoint)
