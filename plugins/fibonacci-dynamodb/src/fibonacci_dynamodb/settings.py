"""What a connection URL says: a region, and which table, endpoint and profile."""

import os
import re
from typing import Any, Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import StoreSettings, StoreURL, flag, read_options, text

_FORM: Final = "dynamodb://region, as in dynamodb://eu-west-1?table=fibonacci"
_REGION: Final = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,62}")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")


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
        {"table": table_name, "endpoint_url": endpoint, "profile": text, "create": flag},
    )
    read = Settings(region=_region(settings.url), **options)
    _check_proxy(read)
    return read


def table_name(value: Any) -> str:
    """Read the name of a table."""
    if not isinstance(value, str) or not _TABLE.fullmatch(value):
        raise ValueError(
            "must be a table's name: 3 to 255 letters, digits, dots, hyphens and underscores"
        )
    return value


def endpoint(value: Any) -> str:
    """Read the address of an endpoint."""
    try:
        url = StoreURL.parse(text(value))
    except ConfigurationError:
        url = StoreURL(scheme="")
    plain = StoreURL(scheme=url.scheme, hosts=url.hosts[:1])
    stripped = attrs.evolve(url, path=url.path.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.hosts or stripped != plain:
        raise ValueError("must be the address of an endpoint, as in http://localhost:8000")
    return str(plain)


def _check_proxy(settings: Settings) -> None:
    """Raise ConfigurationError for a proxy that can't be spoken to, as far as that is known by now.

    Which endpoint boto3 takes, it says at the first use; then it is looked at again.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    from fibonacci_dynamodb.proxies import is_excepting, proxy_for  # 30 ms, for who has one

    named = (os.environ.get(name) for name in ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"))
    url = settings.endpoint_url or next(filter(None, named), None)
    if url is not None:
        proxy_for(url)
    elif not is_excepting():
        proxy_for(f"https://dynamodb.{settings.region}.amazonaws.com")


def _region(url: StoreURL) -> str:
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
    if url.path.strip("/") or port is not None or not _REGION.fullmatch(name):
        raise ConfigurationError(f"backend 'dynamodb' needs a connection URL like {_FORM}")
    return name
