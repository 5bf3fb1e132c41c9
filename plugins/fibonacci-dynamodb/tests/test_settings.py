"""The connection URL, the options and the environment variables."""

import socket
import subprocess
import sys
import traceback
from typing import Any

import pytest

from fibonacci import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_dynamodb import client, environment, fibonacci_storage
from fibonacci_dynamodb.settings import Settings, read_settings


def read(url: str | None, **options: Any) -> Settings:
    parsed = None if url is None else StoreURL.parse(url)
    return read_settings(StoreSettings(url=parsed, options=options))


def test_region_is_enough():
    """A URL with only a region uses the default table."""
    settings = read("dynamodb://eu-west-1")
    assert settings == Settings(region="eu-west-1")
    assert (settings.table, settings.create) == ("fibonacci", True)
    assert read("dynamodb://region/") == Settings(region="region")


def test_options_in_url_or_dict():
    """Options can be set in the URL or as a dict."""
    expected = Settings(
        region="us-east-1",
        table="t.1_-",
        endpoint_url="http://[::1]:8000",
        profile="p",
        create=False,
    )
    query = "table=t.1_-&endpoint_url=http%3A%2F%2F[::1]:8000/&profile=p&create=false"
    assert read(f"dynamodb://us-east-1?{query}") == expected
    assert expected == read(
        "dynamodb://us-east-1",
        table="t.1_-",
        endpoint_url="http://[::1]:8000",
        profile="p",
        create=False,
    )


@pytest.mark.parametrize(
    "url",
    [
        None,
        "dynamodb://",
        "dynamodb://eu-west-1,eu-west-2",
        "dynamodb://eu-west-1:8000",
        "dynamodb://eu-west-1/table",
        "dynamodb://-eu-",
        "redis://eu-west-1",
        "dynamodb://AKIAEXAMPLE:hunter2@eu-west-1",
        "dynamodb://AKIAEXAMPLE@eu-west-1",
        "dynamodb://eu-west-1?table=x",
        "dynamodb://eu-west-1?table=a/b",
        "dynamodb://eu-west-1?profile=",
        "dynamodb://eu-west-1?create=perhaps",
        "dynamodb://eu-west-1?tabel=fibonacci",
        "dynamodb://eu-west-1?endpoint_url=localhost:8000",
        "dynamodb://eu-west-1?endpoint_url=ftp://localhost",
        "dynamodb://eu-west-1?endpoint_url=http://localhost/path",
        "dynamodb://eu-west-1?endpoint_url=http://",
        "dynamodb://eu-west-1?endpoint_url=http://user:hunter2%40localhost",
        "dynamodb://eu-west-1?endpoint_url=http://localhost,other",
    ],
)
def test_invalid_urls_are_refused(url: str | None):
    """An invalid URL or option raises ConfigurationError, which shows no secret (C23)."""
    with pytest.raises(ConfigurationError) as caught:
        read(url)
    assert "hunter2" not in str(caught.value)
    assert "AKIAEXAMPLE" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("arn:aws:dynamodb:eu-west-1:123:table/t", r"write dynamodb://region\?table=name"),
        ("https://dynamodb.eu-west-1.amazonaws.com", r"write dynamodb://region\?endpoint_url=http"),
        ("dynamodb://localhost:8000", r"us-east-1\?endpoint_url=http://localhost:8000"),
        ("dynamodb://localhost", r"us-east-1\?endpoint_url=http://localhost:8000"),
        ("dynamodb://eu-west-1/t", r"a table is an option: write .*\?table=fibonacci"),
        ("dynamodb://eu-west-1?table=arn:aws:dynamodb:eu-west-1:123:table/t", "not an ARN"),
        ("dynamodb://eu-west-1?region=eu-west-1", "write it after dynamodb://"),
        ("dynamodb://eu-west-1?aws_secret_access_key=hunter2", "boto3 finds the keys"),
        ("dynamodb://eu-west-1?endpoint_url=http://a..b", "its host has an empty part"),
        ("dynamodb://eu-west-1?endpoint_url=http://localhost:0", "must be the URL of an endpoint"),
    ],
)
def test_refusal_says_what_to_write(url: str, message: str):
    """The error for another tool's URL or option says what to write instead."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AWS_ACCESS_KEY_ID", '"hunter2"', "is in quotes"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2\n", "contains a space, a line break"),
        ("AWS_SESSION_TOKEN", "${hunter2}", "contains the name of a variable"),
        ("AWS_ENDPOINT_URL", "http://u:hunter2@localhost", "must be the URL of an endpoint"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "'http://localhost'", "must be the URL of an endpoint"),
        ("AWS_CA_BUNDLE", "/none", "names '/none', and no certificate .*: No such file"),
        ("REQUESTS_CA_BUNDLE", "/", "names '/', and no certificate .*: Is a directory"),
    ],
)
def test_invalid_variables_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
):
    """An invalid AWS variable raises ConfigurationError with its name, not its value (C23)."""
    for variable in (
        *environment.KEY_VARIABLES,
        *environment.ENDPOINT_VARIABLES,
        *environment.CA_FILE_VARIABLES,
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} {message}") as caught:
        read("dynamodb://eu-west-1")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame.locals for frame in shown.stack if "fibonacci_dynamodb" in frame.filename]
    assert ours
    assert "hunter2" not in str([caught.value, ours])


def test_unused_variables_are_not_checked(monkeypatch: pytest.MonkeyPatch):
    """Variables that boto3 would not use are not checked: keys with a profile, CAs without TLS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "'none'")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "'none'")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert read("dynamodb://eu-west-1?profile=p").profile == "p"
    monkeypatch.setenv("AWS_CA_BUNDLE", "/none")
    assert read("dynamodb://eu-west-1?profile=p&endpoint_url=http://localhost").profile == "p"


def test_creating_a_store_does_not_connect(monkeypatch: pytest.MonkeyPatch):
    """create_store() connects to nothing and reads no AWS file."""
    monkeypatch.setattr(socket.socket, "connect", pytest.fail)
    monkeypatch.setattr(client, "create_bundle", pytest.fail)  # this reads AWS's files
    url = StoreURL.parse("dynamodb://nowhere?endpoint_url=http://192.0.2.1&profile=none")
    store = fibonacci_storage(StoreSettings(url=url)).create_store()
    assert repr(store) == "<DynamoStore: table 'fibonacci' in nowhere>"
    store.close()


def test_boto3_is_imported_by_the_store():
    """fibonacci_storage() does not import boto3, which takes half a second."""
    program = """
import sys
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_dynamodb import fibonacci_storage

fibonacci_storage(StoreSettings(url=StoreURL.parse("dynamodb://eu-west-1")))
assert not {"boto3", "botocore"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
