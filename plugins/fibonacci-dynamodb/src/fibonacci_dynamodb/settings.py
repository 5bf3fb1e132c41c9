"""Settings from a connection URL: a region, a table, an endpoint and a profile."""

import os
import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, bool_option, read_options, text_option
from fibonacci.plugin.runtime import host_problem
from fibonacci_dynamodb import environment

_FORM: Final = "dynamodb://region, as in dynamodb://eu-west-1?table=fibonacci"
_REGION: Final = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")

_KEYS: Final = "leave it out; boto3 finds the keys in the environment, a profile or a role"
FOREIGN_OPTIONS: Final = {
    "region": "write it after dynamodb://",
    "region_name": "write it after dynamodb://",
    "table_name": "write table",
    "endpoint": "write endpoint_url",
    "profile_name": "write profile",
    "aws_profile": "write profile",
    "use_ssl": "write endpoint_url=http:// or https://",
    "verify": "set the variable AWS_CA_BUNDLE to the authority's file",
    "timeout": "use MemoryConfig(timeout=…), which limits a whole call",
    **dict.fromkeys(
        ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "access_key"), _KEYS
    ),
}
"""Options of boto3 and other tools, with what to write instead."""


@attrs.frozen(kw_only=True)
class Settings:
    """One table, and how to reach it."""

    region: str
    """The region's name at AWS."""
    table: str = "fibonacci"
    endpoint_url: str | None = None
    """Where requests are sent; None for boto3's default."""
    profile: str | None = None
    """A profile of the AWS configuration files; None for boto3's default."""
    create: bool = True
    """Create the table if it is missing, and have DynamoDB delete expired records."""

    @property
    def label(self) -> str:
        """The table's name and region, for error messages."""
        return f"table {self.table!r} in {self.region}"


def read_settings(settings: StoreSettings) -> Settings:
    """Return the settings of the URL and the options. Raises ConfigurationError."""
    if settings.url is None:
        raise ConfigurationError(f"backend 'dynamodb' needs a connection URL like {_FORM}")
    options = read_options(
        settings,
        {
            "table": table_name,
            "endpoint_url": endpoint_url,
            "profile": text_option,
            "create": bool_option,
        },
        FOREIGN_OPTIONS,
    )
    parsed = Settings(region=_region(settings.url), **options)
    _check_environment(parsed)
    return parsed


def table_name(value: Any) -> str:
    """Return a valid name of a table. Raises ValueError."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be the name of a table, not an ARN: 3 to 255 letters, digits, dots, hyphens and "
            "underscores"
        )
    return value


def endpoint_url(value: Any) -> str:
    """Return a valid URL of an endpoint. Raises ValueError."""
    try:
        url = StoreURL.parse(text_option(value))
    except ConfigurationError:
        url = StoreURL(scheme="")
    origin = StoreURL(scheme=url.scheme, hosts=url.hosts[:1])
    stripped = attrs.evolve(url, path=url.path.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.hosts or stripped != origin:
        raise ValueError("must be the URL of an endpoint, as in http://localhost:8000")
    if problem := host_problem(url.hosts[0][0]):
        raise ValueError(f"must be the URL of an endpoint, and its host {problem}")
    return str(origin)


def _check_environment(settings: Settings) -> None:
    """Raise ConfigurationError for variables that boto3 could not work with.

    boto3's files are read by the first call; what depends on them is checked then.
    """
    if settings.profile is None:
        environment.check_keys()
    url = settings.endpoint_url or _configured_endpoint()
    file = environment.ca_file()
    if file is not None and (url is None or url.startswith("https:")):
        environment.check_ca_file(file)
    environment.check_proxy(url, settings.region)


def _configured_endpoint() -> str | None:
    name = environment.endpoint_variable()
    if name is None:
        return None
    try:
        return endpoint_url(os.environ[name])
    except ValueError as error:
        message = f"{name} {error}"
    raise ConfigurationError(message)  # not in the block: frames of the other error hold the URL


def _region(url: StoreURL) -> str:
    if url.scheme in ("http", "https"):
        raise ConfigurationError(
            "backend 'dynamodb' takes an endpoint as an option: write "
            f"dynamodb://region?endpoint_url={url.scheme}://host:port"
        )
    if url.scheme != "dynamodb":
        raise ConfigurationError(
            f"backend 'dynamodb' takes a URL that starts with dynamodb://, not {url.scheme}://"
        )
    if url.username is not None or url.password is not None:
        raise ConfigurationError(
            "backend 'dynamodb' takes no keys in its connection URL: boto3 finds them in the "
            "environment, in a profile (option profile) or in the role of the machine"
        )
    region, port = url.hosts[0] if len(url.hosts) == 1 else ("", None)
    if port is not None or region.lower() == "localhost":
        raise ConfigurationError(
            "the connection URL of backend 'dynamodb' names a region, and an endpoint is an "
            "option: write dynamodb://us-east-1?endpoint_url=http://localhost:8000"
        )
    if url.path.strip("/"):
        raise ConfigurationError(
            "the connection URL of backend 'dynamodb' names only a region, and a table is an "
            f"option: write {_FORM}"
        )
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"backend 'dynamodb' needs a connection URL like {_FORM}")
    return region
