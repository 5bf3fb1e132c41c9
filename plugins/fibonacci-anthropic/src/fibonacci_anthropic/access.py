"""Who asks, and where: the key and the address of the service, checked before anything is sent."""

import os
from typing import Final
from urllib.parse import urlsplit

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import host_problem, shell_syntax_problem
from fibonacci_anthropic.secret import Secret
from fibonacci_anthropic.surroundings import check_surroundings

KEY: Final = "ANTHROPIC_API_KEY"
TOKEN: Final = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a name
URL: Final = "ANTHROPIC_BASE_URL"

NOT_GIVEN: Final = Secret(None)


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


def find_access(api_key: Secret = NOT_GIVEN, base_url: Secret = NOT_GIVEN) -> Access:
    """Return the access that was given, or that the environment has, in the SDK's own order.

    Raises ConfigurationError.
    """
    url = _url(base_url)
    key, token = _key(api_key), NOT_GIVEN
    if key.value is None:
        token = _token(may_be_elsewhere=api_key.value is None)
    check_surroundings()
    return Access(api_key=key.value, auth_token=token.value, base_url=url.value)


def _key(given: Secret) -> Secret:
    if given.value is None:
        return _checked_secret(Secret(os.environ.get(KEY) or None), KEY)
    return _checked_secret(Secret(given.value or None), "api_key")


def _token(*, may_be_elsewhere: bool) -> Secret:
    """Return what the environment has in the place of a key, None where the SDK finds it."""
    token = _checked_secret(Secret(os.environ.get(TOKEN) or None), TOKEN)
    if token.value is None and not (may_be_elsewhere and _sdk_finds_credentials()):
        raise ConfigurationError(
            f"anthropic: no API key. Set {KEY}, or pass one: "
            "LLMNode(model=fibonacci_anthropic.AnthropicModel('claude-…', api_key=…))"
        )
    return token


def _url(given: Secret) -> Secret:
    if given.value is not None:
        return _checked_url(given, "base_url")
    return _checked_url(Secret(os.environ.get(URL)), URL)


def _checked_url(url: Secret, source: str) -> Secret:
    if url.value is None:
        return url
    check_text(url, source)
    parts = _parts(url)
    if parts.value is None:
        raise ConfigurationError(
            f"anthropic: {source} is no http or https URL: https://api.anthropic.com is one"
        )
    if "@" in parts.value:  # it would be sent in the place of the key
        raise ConfigurationError(f"anthropic: {source} holds a user or a password: leave it out")
    if fault := _host_fault(url):
        raise ConfigurationError(f"anthropic: the host in {source} {fault}")
    return url


def _host_fault(url: Secret) -> str | None:
    return host_problem(urlsplit(url.value or "").hostname or "")


def _parts(url: Secret) -> Secret:
    """Return who and where, None where the URL is none that can be asked."""
    is_spaced = any(map(str.isspace, url.value or ""))
    try:
        parts = urlsplit(url.value or "")
        well = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text quotes the URL
        return Secret(None)
    more = is_spaced or parts.query or parts.fragment
    return Secret(parts.netloc if well and not more else None)


def _checked_secret(secret: Secret, source: str) -> Secret:
    check_text(secret, source)
    if not (secret.value or "").isascii():
        raise ConfigurationError(f"anthropic: {source} holds a character that no key has")
    return secret


def check_text(secret: Secret, source: str) -> None:
    """Raise ConfigurationError for what a shell, or the file that it came from, left around it."""
    text = secret.value or ""
    is_well, fault = text.isprintable() and " " not in text, shell_syntax_problem(text)
    del text  # or an error's traceback could show it
    if not is_well:
        raise ConfigurationError(
            f"anthropic: {source} holds a space, a line's end or another character that does not "
            f"belong there"
        )
    if fault is not None:
        raise ConfigurationError(f"anthropic: {source} {fault}")


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
