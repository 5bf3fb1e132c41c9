"""Credentials: whatever boto3's chain finds, before the deadline, and nothing of them told."""

import json
import os
import stat
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.session import Session

from fibonacci import BackendUnavailableError, StorageError
from fibonacci.testing.threads import run_concurrently
from fibonacci_dynamodb.login import Login

from .aws_ledger import Ledger
from .conftest import Open, ready, until

Provide = Callable[..., None]


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provide:
    """Has the credentials come from a program of the user's, in the profile `made`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    program, config = tmp_path / "program", tmp_path / "config"
    config.write_text(f"[profile made]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def provided(script: str, *, key: str = "AKIAFIRST", minutes: float = 60) -> None:
        ends = datetime.now(UTC) + timedelta(minutes=minutes)
        found = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "hunter2"}
        found |= {"SessionToken": "hunter3", "Expiration": ends.isoformat()}
        program.write_text(f"#!/bin/sh\n{script}\ncat <<'END'\n{json.dumps(found)}\nEND\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return provided


def keys_of(ledger: Ledger) -> list[str]:
    """The access keys that the requests were signed with."""
    return [text.partition("Credential=")[2].partition("/")[0] for text in ledger.signatures]


def test_profile(table_url: str, open_memory: Open, provide: Provide, ledger: Ledger):
    """The option profile names the profile whose credentials are used."""
    provide("", key="AKIAPROFILE")
    memory = open_memory(f"{table_url}&profile=made")
    memory.set("k", 1)
    memory.get("k")
    assert set(keys_of(ledger)) == {"AKIAPROFILE"}


def test_no_such_profile(table_url: str, open_memory: Open, provide: Provide):
    """A profile that is not there is told; once it is, the same memory works."""
    memory = open_memory(f"{table_url}&profile=absent")
    with pytest.raises(StorageError, match="no such profile"):
        memory.get("k")
    provide("")
    config = Path(os.environ["AWS_CONFIG_FILE"])
    config.write_text(config.read_text().replace("made", "absent"))
    assert memory.get("absent") is None


def test_unreadable_configuration(table_url: str, open_memory: Open, provide: Provide):
    """A configuration file that boto3 can't read is told, without its text."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text("[profile made\naws_secret = hunter2")
    with pytest.raises(StorageError, match="ConfigParseError") as caught:
        open_memory(table_url).get("k")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_none(table_url: str, open_memory: Open, provide: Provide, ledger: Ledger):
    """Without credentials nothing is sent, and the error says what to set."""
    memory = open_memory(table_url)
    with pytest.raises(StorageError, match=r"found no credentials.*Set AWS_ACCESS_KEY_ID"):
        memory.set("k", 1)
    assert ledger.requests == []


def test_broken(table_url: str, open_memory: Open, provide: Provide):
    """Credentials that can't be had are told without what the program says of them."""
    provide("echo hunter4 >&2; exit 1")
    with pytest.raises(StorageError, match="CredentialRetrievalError") as caught:
        open_memory(f"{table_url}&profile=made").get("k")
    told = "".join(traceback.format_exception(caught.value))
    assert "hunter" not in told.replace(__file__, "")


def test_slow(table_url: str, open_memory: Open, provide: Provide, tmp_path: Path):
    """Credentials that come too late make the call unavailable at its deadline (C18)."""
    provide(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    memory = open_memory(f"{table_url}&profile=made", timeout=0.6)
    for _ in range(2):  # the first makes the client, too
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="time"):
            memory.get("k")
        assert time.monotonic() - start < 0.6 + 0.5
    (tmp_path / "go").touch()
    assert ready(memory).get("absent") is None


def test_fetched_once(table_url: str, open_memory: Open, provide: Provide, tmp_path: Path):
    """Threads that come while credentials are fetched wait for those."""
    runs = tmp_path / "runs"
    provide(f"echo run >> {runs}; sleep 0.2")
    memory = open_memory(f"{table_url}&profile=made", timeout=30.0)

    def late() -> None:
        until(runs.exists)
        memory.get("k")

    run_concurrently([lambda: memory.get("k"), late, late])
    assert runs.read_text().count("run") == 1


def test_renewed(table_url: str, open_memory: Open, provide: Provide, ledger: Ledger):
    """Keys that are about to end are renewed before the call, and not used any more."""
    provide("", key="AKIAFIRST", minutes=5)
    memory = open_memory(f"{table_url}&profile=made")
    memory.get("k")
    provide("", key="AKIASECOND")
    memory.get("k")
    memory.get("k")
    assert keys_of(ledger) == ["AKIAFIRST", "AKIASECOND", "AKIASECOND"]


def test_renewed_meanwhile(
    table_url: str, open_memory: Open, provide: Provide, ledger: Ledger, tmp_path: Path
):
    """Keys that are good for some minutes are used, while others are fetched."""
    provide("", key="AKIAFIRST", minutes=12)
    memory = open_memory(f"{table_url}&profile=made")
    memory.get("k")
    provide(f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done", key="AKIASECOND")
    memory.get("k")
    assert keys_of(ledger) == ["AKIAFIRST", "AKIAFIRST"]
    (tmp_path / "go").touch()

    def renewed() -> bool:
        memory.get("k")
        return keys_of(ledger)[-1] == "AKIASECOND"

    until(renewed)


def test_account():
    """The account's id, where the chain knows it, is there for the choice of the endpoint."""

    class Chain:
        def load_credentials(self) -> Credentials:
            return Credentials("key", "secret", account_id="123456789012")

    session = Session()
    session.register_component("credential_provider", Chain())
    login = Login(session, "a table")
    assert session.get_credentials() is login
    assert login.found is False
    login.renew(time.monotonic() + 5)
    login.renew(0.0)  # nothing to wait for
    assert login.found is True
    assert login.get_deferred_property("account_id")() == "123456789012"
    assert login.get_frozen_credentials() == ReadOnlyCredentials(
        "key", "secret", None, "123456789012"
    )


class Refusing:
    """A chain whose role AWS refuses to hand out."""

    def __init__(self, code: str, status: int) -> None:
        self._answer = {
            "Error": {"Code": code, "Message": "hunter2"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }

    def load_credentials(self) -> Credentials:
        raise ClientError(self._answer, "AssumeRole")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Throttling", 400, BackendUnavailableError),
        ("ServiceUnavailable", 503, BackendUnavailableError),
        ("AccessDenied", 403, StorageError),
        ("ExpiredToken", 400, StorageError),
    ],
)
def test_a_role_that_is_not_given(code: str, status: int, kind: type[StorageError]):
    """Where AWS is too busy to give a role's keys it is asked again; a refusal lasts."""
    session = Session()
    session.register_component("credential_provider", Refusing(code, status))
    with pytest.raises(StorageError) as caught:
        Login(session, "a table").renew(time.monotonic() + 20)
    assert type(caught.value) is kind
    assert "hunter2" not in str(caught.value)
