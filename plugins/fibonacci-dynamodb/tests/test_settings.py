"""The connection URL and the options."""

from typing import Any

import pytest

from fibonacci import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci_dynamodb import fibonacci_storage
from fibonacci_dynamodb.settings import Settings, read_settings


def read(url: str | None, **options: Any) -> Settings:
    parsed = None if url is None else StoreURL.parse(url)
    return read_settings(StoreSettings(url=parsed, options=options))


def test_bare_url():
    """A region is enough."""
    settings = read("dynamodb://eu-west-1")
    assert settings == Settings(region="eu-west-1")
    assert (settings.table, settings.create) == ("fibonacci", True)
    assert read("dynamodb://region/") == Settings(region="region")


def test_options():
    """Options may stand in the URL, or beside it."""
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
def test_refused(url: str | None):
    """What can't be meant is refused when the workflow is made, and no secret is told (C23)."""
    with pytest.raises(ConfigurationError) as caught:
        read(url)
    assert "hunter2" not in str(caught.value)
    assert "AKIAEXAMPLE" not in str(caught.value)


def test_nothing_is_asked_when_it_is_made():
    """Neither the hook nor the connecting does any I/O, or imports boto3's half a second."""
    url = StoreURL.parse("dynamodb://nowhere?endpoint_url=http://192.0.2.1&profile=none")
    store = fibonacci_storage(StoreSettings(url=url)).connect()
    assert repr(store) == "<DynamoStore: table 'fibonacci' in nowhere>"
    store.close()
