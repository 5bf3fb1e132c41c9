"""The API key and the service's URL, validated before anything is sent."""

import os
from typing import Final
from urllib.parse import urlsplit

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import host_problem, shell_syntax_problem

KEY: Final = "ANTHROPIC_API_KEY"
TOKEN: Final = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a name
URL: Final = "ANTHROPIC_BASE_URL"


@attrs.frozen
class Secret:
    """A key, or a URL that may hold a password; None if there is none.

    Error trackers record the local variables of each frame of a traceback: of this object they
    record ``Secret()``.
    """

    value: str | None = attrs.field(repr=False)


UNSET: Final = Secret(None)


@attrs.frozen(kw_only=True)
class Credentials:
    """The arguments of the SDK's clients: a key or a token, never both."""

    api_key: str | None = attrs.field(repr=False)
    auth_token: str | None = attrs.field(repr=False)
    base_url: str | None
    """Contains no password; None selects the SDK's default."""

    @property
    def secrets(self) -> tuple[str | None, str | None]:
        """The values that must not appear in messages."""
        return self.api_key, self.auth_token


def find_credentials(api_key: Secret = UNSET, base_url: Secret = UNSET) -> Credentials:
    """Return the credentials passed here or found in the environment, in the SDK's order.

    Raises ConfigurationError.
    """
    url = _find_url(base_url)
    key, token = _find_key(api_key), UNSET
    if key.value is None:
        token = _find_token(allow_sdk_credentials=api_key.value is None)
    return Credentials(api_key=key.value, auth_token=token.value, base_url=url.value)


def _find_key(argument: Secret) -> Secret:
    if argument.value is None:
        return _checked_secret(Secret(os.environ.get(KEY) or None), KEY)
    return _checked_secret(Secret(argument.value or None), "api_key")


def _find_token(*, allow_sdk_credentials: bool) -> Secret:
    """Return the environment's token; None if the SDK has other credentials."""
    token = _checked_secret(Secret(os.environ.get(TOKEN) or None), TOKEN)
    if token.value is None and not (allow_sdk_credentials and _sdk_has_credentials()):
        raise ConfigurationError(
            f"anthropic: no API key. Set {KEY}, or pass one: "
            "LLMNode(model=fibonacci_anthropic.AnthropicModel('claude-…', api_key=…))"
        )
    return token


def _find_url(argument: Secret) -> Secret:
    if argument.value is not None:
        return _checked_url(argument, "base_url")
    return _checked_url(Secret(os.environ.get(URL)), URL)


def _checked_url(url: Secret, source: str) -> Secret:
    if url.value is None:
        return url
    check_text(url, source)
    netloc = _netloc(url)
    if netloc.value is None:
        raise ConfigurationError(
            f"anthropic: {source} is not an http or https URL. Example: https://api.anthropic.com"
        )
    if "@" in netloc.value:  # it would be sent instead of the key
        raise ConfigurationError(
            f"anthropic: {source} must not contain a user name or a password: remove them"
        )
    if problem := host_problem(urlsplit(url.value).hostname or ""):
        raise ConfigurationError(f"anthropic: the host in {source} {problem}")
    return url


def _netloc(url: Secret) -> Secret:
    """Return the URL's authority; None if it is not an http or https URL."""
    has_blank = any(map(str.isspace, url.value or ""))
    try:
        parts = urlsplit(url.value or "")
        is_valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text quotes the URL
        return Secret(None)
    has_more = has_blank or parts.query or parts.fragment
    return Secret(parts.netloc if is_valid and not has_more else None)


def _checked_secret(secret: Secret, source: str) -> Secret:
    check_text(secret, source)
    if not (secret.value or "").isascii():
        raise ConfigurationError(f"anthropic: {source} contains a character that no key has")
    return secret


def check_text(secret: Secret, source: str) -> None:
    """Raise ConfigurationError for leftovers of a shell or of a file, such as quotes."""
    text = secret.value or ""
    is_valid, problem = text.isprintable() and " " not in text, shell_syntax_problem(text)
    del text  # or an error's traceback could show it
    if not is_valid:
        raise ConfigurationError(
            f"anthropic: {source} contains a space, a line break or another character that is not "
            "allowed there"
        )
    if problem is not None:
        raise ConfigurationError(f"anthropic: {source} {problem}")


def _sdk_has_credentials() -> bool:
    """Return whether the SDK finds other credentials: a profile on disk, a workload identity.

    The import is slow, and only needed without a key.
    """
    from anthropic import AnthropicError
    from anthropic.lib.credentials import default_credentials

    try:
        return default_credentials() is not None
    except AnthropicError as error:
        raise ConfigurationError(
            f"anthropic: the configured profile or identity can't be used: "
            f"{type(error).__name__}. Fix it, or set {KEY}"
        ) from None
