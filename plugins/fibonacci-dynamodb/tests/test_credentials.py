"""Credentials: loaded by boto3's chain, within the deadline, and never shown."""

import json
import os
import stat
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.session import Session

from fibonacci import BackendUnavailableError, StorageError
from fibonacci._memory.store_handle import stores_of
from fibonacci.testing.threads import run_concurrently
from fibonacci_dynamodb.credentials import SigningCredentials

from .aws_ledger import Ledger
from .conftest import Open, ready, until

Provide = Callable[..., None]


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provide:
    """Writes a program that prints credentials, used by the profile `tests`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    program, config = tmp_path / "program", tmp_path / "config"
    config.write_text(f"[profile tests]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def provided(script: str, *, key: str = "AKIAFIRST", minutes: float = 60) -> None:
        ends = datetime.now(UTC) + timedelta(minutes=minutes)
        found = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "hunter2"}
        found |= {"SessionToken": "hunter3", "Expiration": ends.isoformat()}
        program.write_text(f"#!/bin/sh\n{script}\ncat <<'END'\n{json.dumps(found)}\nEND\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return provided


def keys_of(ledger: Ledger) -> list[str]:
    """Return the access keys that signed the requests."""
    return [text.partition("Credential=")[2].partition("/")[0] for text in ledger.signatures]


def test_profile_option_selects_credentials(
    table_url: str, open_memory: Open, provide: Provide, ledger: Ledger
):
    """The option profile selects the profile whose credentials sign requests."""
    provide("", key="AKIAPROFILE")
    memory = open_memory(f"{table_url}&profile=tests")
    memory.set("k", 1)
    memory.get("k")
    assert set(keys_of(ledger)) == {"AKIAPROFILE"}


def test_missing_profile_is_reported(table_url: str, open_memory: Open, provide: Provide):
    """A missing profile raises StorageError; the same memory works once it exists."""
    memory = open_memory(f"{table_url}&profile=absent")
    with pytest.raises(StorageError, match="no such profile"):
        memory.get("k")
    provide("")
    config = Path(os.environ["AWS_CONFIG_FILE"])
    config.write_text(config.read_text().replace("tests", "absent"))
    assert memory.get("absent") is None


def test_invalid_config_file_is_not_quoted(table_url: str, open_memory: Open, provide: Provide):
    """An invalid AWS configuration file raises StorageError, which does not quote it."""
    Path(os.environ["AWS_CONFIG_FILE"]).write_text("[profile tests\naws_secret = hunter2")
    with pytest.raises(StorageError, match="ConfigParseError") as caught:
        open_memory(table_url).get("k")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_no_credentials_sends_nothing(
    table_url: str, open_memory: Open, provide: Provide, ledger: Ledger
):
    """Without credentials no request is sent, and the error says what to set."""
    memory = open_memory(table_url)
    with pytest.raises(StorageError, match=r"found no credentials.*Set AWS_ACCESS_KEY_ID"):
        memory.set("k", 1)
    assert ledger.requests == []


def test_failed_credentials_program_is_not_quoted(
    table_url: str, open_memory: Open, provide: Provide
):
    """The error for a failed credentials program does not quote its output."""
    provide("echo hunter4 >&2; exit 1")
    with pytest.raises(StorageError, match="CredentialRetrievalError") as caught:
        open_memory(f"{table_url}&profile=tests").get("k")
    text = "".join(traceback.format_exception(caught.value))
    assert "hunter" not in text.replace(__file__, "")


def test_slow_credentials_end_at_deadline(
    table_url: str, open_memory: Open, provide: Provide, tmp_path: Path
):
    """Credentials that take too long raise BackendUnavailableError at the deadline (C18)."""
    provide(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done")
    memory = open_memory(f"{table_url}&profile=tests", timeout=0.6)
    store: Any = stores_of(memory).blocking_store
    for _ in range(2):  # the first creates the client, too
        start = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="time"):
            memory.get("k")
        assert time.monotonic() - start < 0.6 + 0.5
        until(lambda: store._table._client._bundle)  # the second waits for the credentials only
    (tmp_path / "go").touch()
    assert ready(memory).get("absent") is None


def test_threads_share_one_fetch(
    table_url: str, open_memory: Open, provide: Provide, tmp_path: Path
):
    """Threads that need credentials at the same time share one fetch."""
    runs = tmp_path / "runs"
    provide(f"echo run >> {runs}; sleep 0.2")
    memory = open_memory(f"{table_url}&profile=tests", timeout=30.0)

    def late() -> None:
        until(runs.exists)
        memory.get("k")

    run_concurrently([lambda: memory.get("k"), late, late])
    assert runs.read_text().count("run") == 1


def test_expiring_keys_are_refreshed_first(
    table_url: str, open_memory: Open, provide: Provide, ledger: Ledger
):
    """Keys that are about to expire are refreshed before the call, and not used any more."""
    provide("", key="AKIAFIRST", minutes=5)
    memory = open_memory(f"{table_url}&profile=tests")
    memory.get("k")
    provide("", key="AKIASECOND")
    memory.get("k")
    memory.get("k")
    *first, second, third = keys_of(ledger)
    assert (set(first), second, third) == ({"AKIAFIRST"}, "AKIASECOND", "AKIASECOND")


def test_keys_refresh_in_the_background(
    table_url: str, open_memory: Open, provide: Provide, ledger: Ledger, tmp_path: Path
):
    """Keys that are valid for some more minutes are used while new ones are fetched."""
    provide("", key="AKIAFIRST", minutes=12)
    memory = open_memory(f"{table_url}&profile=tests")
    memory.get("k")
    provide(f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done", key="AKIASECOND")
    memory.get("k")
    assert set(keys_of(ledger)) == {"AKIAFIRST"}
    (tmp_path / "go").touch()

    def renewed() -> bool:
        memory.get("k")
        return keys_of(ledger)[-1] == "AKIASECOND"

    until(renewed)


def test_account_id_is_passed_on():
    """The account id that the chain knows is passed on, for the choice of the endpoint."""

    class Chain:
        def load_credentials(self) -> Credentials:
            return Credentials("key", "secret", account_id="123456789012")

    session = Session()
    session.register_component("credential_provider", Chain())
    credentials = SigningCredentials(session, "a table")
    assert session.get_credentials() is credentials
    assert credentials.available is False
    credentials.refresh(time.monotonic() + 5)
    credentials.refresh(0.0)  # nothing to wait for
    assert credentials.available is True
    assert credentials.get_deferred_property("account_id")() == "123456789012"
    assert credentials.get_frozen_credentials() == ReadOnlyCredentials(
        "key", "secret", None, "123456789012"
    )


class Refusing:
    """A provider whose role AWS refuses."""

    def __init__(self, code: str, status: int) -> None:
        self._response = {
            "Error": {"Code": code, "Message": "hunter2"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }

    def load_credentials(self) -> Credentials:
        raise ClientError(self._response, "AssumeRole")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("Throttling", 400, BackendUnavailableError),
        ("ServiceUnavailable", 503, BackendUnavailableError),
        ("AccessDenied", 403, StorageError),
        ("ExpiredToken", 400, StorageError),
    ],
)
def test_refused_role_is_transient_only_if_throttled(
    code: str, status: int, kind: type[StorageError]
):
    """A role that AWS can't provide now is a transient error; one that it refuses is permanent."""
    session = Session()
    session.register_component("credential_provider", Refusing(code, status))
    with pytest.raises(StorageError) as caught:
        SigningCredentials(session, "a table").refresh(time.monotonic() + 20)
    assert type(caught.value) is kind
    assert "hunter2" not in str(caught.value)
