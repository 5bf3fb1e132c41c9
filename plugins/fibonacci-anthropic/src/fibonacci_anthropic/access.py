"""Who asks, and where: the key and the address of the service, checked before anything is sent."""

import os
from typing import Final
from urllib.parse import urlsplit

import attrs

from fibonacci.errors import ConfigurationError

KEY: Final = "ANTHROPIC_API_KEY"
TOKEN: Final = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a name
URL: Final = "ANTHROPIC_BASE_URL"


@attrs.frozen(kw_only=True)
class Access:
    """What the SDK's clients are made with; a key and a token, never both."""

    api_key: str | None = attrs.field(repr=False)
    auth_token: str | None = attrs.field(repr=False)
    base_url: str | None
    """Without a password; None: where the SDK goes by itself."""

    @property
    def secrets(self) -> tuple[str | None, str | None]:
        """What must not be told."""
        return self.api_key, self.auth_token


def find_access(api_key: str | None = None, base_url: str | None = None) -> Access:
    """Return the access that was given, or that the environment has, in the SDK's own order.

    Raises ConfigurationError.
    """
    url = os.environ.get(URL) if base_url is None else base_url
    if url is not None:
        _check_url(url, URL if base_url is None else "base_url")
    key = os.environ.get(KEY) if api_key is None else api_key
    token = None if key else os.environ.get(TOKEN)
    if key or token:
        _check_secret(key or token or "", "api_key" if api_key else KEY if key else TOKEN)
    elif api_key is not None or not _sdk_finds_credentials():
        raise ConfigurationError(
            f"anthropic: no API key. Set {KEY}, or pass one: "
            "LLMNode(model=fibonacci_anthropic.AnthropicModel('claude-…', api_key=…))"
        )
    return Access(api_key=key or None, auth_token=token or None, base_url=url)


def _check_url(url: str, source: str) -> None:
    try:
        parts = urlsplit(url)
        well = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        well = well and not parts.query and not parts.fragment
    except ValueError:  # its text quotes the URL
        well, parts = None, urlsplit("")
    if not well:
        raise ConfigurationError(
            f"anthropic: {source} is no http or https URL: https://api.anthropic.com is one"
        )
    if "@" in parts.netloc:  # it would be sent in the place of the key
        raise ConfigurationError(f"anthropic: {source} holds a user or a password: leave it out")


def _check_secret(secret: str, source: str) -> None:
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ConfigurationError(
            f"anthropic: {source} holds a space, a line's end or another character that no key has"
        )


def _sdk_finds_credentials() -> bool:
    """Say whether the SDK knows another way in: a profile on disk, a workload's identity.

    Only those who set no key pay for the import here.
    """
    from anthropic import AnthropicError
    from anthropic.lib.credentials import default_credentials

    try:
        return default_credentials() is not None
    except AnthropicError as error:
        raise ConfigurationError(
            f"anthropic: the profile or identity that is set up can't be used: "
            f"{type(error).__name__}. Mend it, or set {KEY}"
        ) from None
