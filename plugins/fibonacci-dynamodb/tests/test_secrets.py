"""Neither keys nor values are told: in no message, repr, traceback or log (C23)."""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from services.dynamodb import REGION, Moto
from services.faults import BlackHole, lost_reply
from services.proxy import Proxy

from fibonacci import MemoryManager, OutcomeUnknownError, StorageError

from .aws_ledger import Ledger
from .aws_responses import Answer, error
from .conftest import ADDRESS, Open, OpenStore, ready, soon

KEY, SECRET, TOKEN, VALUE = "AKIACANARY", "canary-secret", "canary-token", "canary-value"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged from DEBUG on."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that can be found again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


def exercise(memory: MemoryManager) -> list[str]:
    """Do all that can be done to records with the canary in them; what was raised, as text."""
    told = [repr(memory)]
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
        except StorageError as fault:
            told.append("".join(traceback.format_exception(fault)))
    return told


def locals_of_ours(fault: BaseException | None) -> str:
    """What a traceback shows of the names in our frames, and below, with what the fault came of."""
    if fault is None:
        return ""
    told = traceback.TracebackException.from_exception(fault, capture_locals=True)
    ours = [frame.locals for frame in told.stack if frame.filename != __file__]
    return f"{fault!r}{ours}{locals_of_ours(fault.__context__)}{locals_of_ours(fault.__cause__)}"


@pytest.mark.usefixtures("canaries")
def test_locals(moto_server: Moto, moto_proxy: Proxy, open_store: OpenStore):
    """No frame of ours that a fault passes has a secret key, or a session token, in its names."""
    url = moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
    store = open_store(url)
    store.exists(ADDRESS, deadline=soon())
    with moto_proxy.fault(BlackHole()), pytest.raises(OutcomeUnknownError) as caught:
        store.write(ADDRESS, b"1", None, deadline=soon(0.2))
    shown = locals_of_ours(caught.value)
    assert "exchange" in shown  # it is those frames
    assert not any(canary in shown for canary in (SECRET, TOKEN))


@pytest.mark.parametrize(
    "configured",
    [
        f"[default]\ncredential_process = /bin/sh -c 'echo {SECRET} >&2; exit 3'\n",
        f"[default]\naws_secret_access_key = {SECRET}\n[broken\n",
    ],
    ids=["process", "broken"],
)
def test_configuration_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, open_store: OpenStore, configured: str
):
    """Nor has one that comes of the files or the programs that keys are in."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(configured)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = open_store(f"dynamodb://{REGION}?endpoint_url=http://127.0.0.1:1")
    with pytest.raises(StorageError) as caught:
        store.exists(ADDRESS, deadline=soon())
    assert SECRET not in locals_of_ours(caught.value)


def clean(text: str) -> bool:
    """Whether there is no canary in it, but for the lines of this file in tracebacks."""
    return not any(canary in text for canary in (KEY, SECRET, TOKEN, VALUE))


@pytest.mark.usefixtures("canaries")
def test_logs(moto_server: Moto, open_memory: Open, logged: pytest.LogCaptureFixture):
    """botocore's own DEBUG log has nothing of our calls that could tell."""
    told = exercise(open_memory(moto_server.fresh))
    assert len(told) == 2  # the record that is too large
    assert all(map(clean, told))
    assert clean(logged.text)


@pytest.mark.usefixtures("canaries")
def test_logs_of_faults(
    moto_server: Moto, moto_proxy: Proxy, open_memory: Open, logged: pytest.LogCaptureFixture
):
    """Nor has it if the connection breaks."""
    url = moto_server.fresh.replace(str(moto_server.port), str(moto_proxy.port))
    open_memory(url).exists("k")
    memory = ready(open_memory(url, timeout=0.15))
    with moto_proxy.fault(lost_reply()):
        told = exercise(memory)
    assert len(told) > 2
    assert all(map(clean, told))
    assert clean(logged.text)


def leaking(code: str) -> Answer:
    """An error as AWS gives it: with what was signed, or with the value that it refuses."""
    canonical = f"x-amz-security-token:{TOKEN} Credential={KEY} {VALUE}"
    return error(code, message=f"The canonical string should have been {canonical}")


@pytest.mark.usefixtures("canaries")
@pytest.mark.parametrize("code", ["InvalidSignatureException", "ValidationException", "Strange"])
def test_errors(
    table_url: str,
    open_memory: Open,
    ledger: Ledger,
    logged: pytest.LogCaptureFixture,
    code: str,
):
    """What AWS says of an error may quote both, and is not passed on."""
    memory = open_memory(table_url, name=f"secrets {code}")
    memory.exists("k")
    for operation in ("PutItem", "GetItem", "BatchGetItem", "BatchWriteItem", "Query"):
        ledger.script.always(operation, leaking(code))
    told = exercise(memory)
    assert len(told) > 5
    assert all(map(clean, told))
    assert clean(logged.text)


@pytest.mark.usefixtures("canaries")
def test_others_logs(moto_server: Moto, open_memory: Open, logged: pytest.LogCaptureFixture):
    """The log of a client that is not ours stays as it was."""
    url = moto_server.fresh
    open_memory(url).set("k", 1)
    logged.clear()
    endpoint = f"http://{moto_server.host}:{moto_server.port}"
    client = boto3.Session().client("dynamodb", region_name=REGION, endpoint_url=endpoint)
    client.list_tables(Limit=7)
    assert "ListTables" in logged.text
    assert TOKEN in logged.text


def test_reprs(tmp_path: Path):
    """No object of ours shows a key."""
    from fibonacci_dynamodb.connection import Endpoint
    from fibonacci_dynamodb.environment import Proxy

    endpoint = Endpoint(address=("h", 1), use_tls=False, proxy=Proxy(("p", 2), "canary"))
    assert "canary" not in repr(endpoint)
