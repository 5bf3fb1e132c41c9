"""What a connection URL says: a region, and which table, endpoint and profile."""

import os
import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, bool_option, read_options, text_option
from fibonacci.plugin.runtime import host_problem
from fibonacci_dynamodb import surroundings

_FORM: Final = "dynamodb://region, as in dynamodb://eu-west-1?table=fibonacci"
_REGION: Final = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")

_LOGIN: Final = "leave it out; boto3 finds the keys, in the environment, in a profile, or by a role"
ELSEWHERE: Final = {
    "region": "write it behind dynamodb://",
    "region_name": "write it behind dynamodb://",
    "table_name": "write table",
    "endpoint": "write endpoint_url",
    "profile_name": "write profile",
    "aws_profile": "write profile",
    "use_ssl": "write endpoint_url=http:// or https://",
    "verify": "name the file of the authority in the variable AWS_CA_BUNDLE",
    "timeout": "MemoryConfig(timeout=…) has the seconds of a whole call",
    **dict.fromkeys(
        ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "access_key"), _LOGIN
    ),
}
"""Options of boto3 and others, with what to write."""


@attrs.frozen(kw_only=True)
class Settings:
    """One table, and how to get at it."""

    region: str
    """As AWS names it."""
    table: str = "fibonacci"
    endpoint_url: str | None = None
    """Where requests go; None for where boto3 would send them."""
    profile: str | None = None
    """Of the AWS configuration files; None for the one that boto3 would take."""
    create: bool = True
    """Make the table if it is missing, and have it drop expired records."""

    @property
    def where(self) -> str:
        """The table, as error messages name it."""
        return f"table {self.table!r} in {self.region}"


def read_settings(settings: StoreSettings) -> Settings:
    """Return what the URL and the options say; ConfigurationError if they can't be meant."""
    if settings.url is None:
        raise ConfigurationError(f"backend 'dynamodb' needs a connection URL like {_FORM}")
    options = read_options(
        settings,
        {
            "table": table_name,
            "endpoint_url": endpoint,
            "profile": text_option,
            "create": bool_option,
        },
        ELSEWHERE,
    )
    read = Settings(region=_region(settings.url), **options)
    _check_surroundings(read)
    return read


def table_name(value: Any) -> str:
    """Read the name of a table."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be a table's name, and no ARN: 3 to 255 letters, digits, dots, hyphens and "
            "underscores"
        )
    return value


def endpoint(value: Any) -> str:
    """Read the address of an endpoint."""
    try:
        url = StoreURL.parse(text_option(value))
    except ConfigurationError:
        url = StoreURL(scheme="")
    plain = StoreURL(scheme=url.scheme, hosts=url.hosts[:1])
    stripped = attrs.evolve(url, path=url.path.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.hosts or stripped != plain:
        raise ValueError("must be the address of an endpoint, as in http://localhost:8000")
    if fault := host_problem(url.hosts[0][0]):
        raise ValueError(f"must be the address of an endpoint, and its host {fault}")
    return str(plain)


def _check_surroundings(settings: Settings) -> None:
    """Raise ConfigurationError for what boto3 could not work with, as far as that is known by now.

    What its files say, it tells at the first use; then that is looked at again.
    """
    if settings.profile is None:
        surroundings.check_keys()
    url = settings.endpoint_url or _named_endpoint()
    file = surroundings.bundle()
    if file is not None and (url is None or url.startswith("https:")):
        surroundings.check_bundle(file)
    _check_proxy(url, settings.region)


def _named_endpoint() -> str | None:
    name = surroundings.endpoint_variable()
    if name is None:
        return None
    try:
        return endpoint(os.environ[name])
    except ValueError as fault:
        told = f"{name} {fault}"
    raise ConfigurationError(told)  # not in the block: a frame of the other's has the address


def _check_proxy(url: str | None, region: str) -> None:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    from fibonacci_dynamodb.proxies import is_excepting, proxy_for  # 30 ms, for who has one

    if url is not None:
        proxy_for(url)
    elif not is_excepting():
        proxy_for(f"https://dynamodb.{region}.amazonaws.com")


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
            "backend 'dynamodb' takes no keys in its connection URL: boto3 finds them, in the "
            "environment, in a profile (option profile), or in the role of the machine"
        )
    name, port = url.hosts[0] if len(url.hosts) == 1 else ("", None)
    if port is not None or name.lower() == "localhost":
        raise ConfigurationError(
            "the connection URL of backend 'dynamodb' names a region, and an endpoint is an "
            "option: write dynamodb://us-east-1?endpoint_url=http://localhost:8000"
        )
    if url.path.strip("/"):
        raise ConfigurationError(
            "the connection URL of backend 'dynamodb' names a region alone, and a table is an "
            f"option: write {_FORM}"
        )
    if not _REGION.fullmatch(name):
        raise ConfigurationError(f"backend 'dynamodb' needs a connection URL like {_FORM}")
    return name
