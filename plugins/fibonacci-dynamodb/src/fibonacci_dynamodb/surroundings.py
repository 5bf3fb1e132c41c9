"""What the environment says to boto3: looked at before boto3 is there, which takes its time."""

import os
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import ca_file_problem, shell_syntax_problem

KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ENDPOINTS: Final = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")
BUNDLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def check_keys() -> None:
    """Raise ConfigurationError for keys that can't be any; they would be sent, and refused."""
    for name in KEYS:
        if fault := _key_fault(name):
            raise ConfigurationError(f"{name} {fault}")


def _key_fault(name: str) -> str | None:
    # In no variable but this one: an error's traceback could show it.
    given = os.environ.get(name, "")
    if given and not (given.isascii() and given.isprintable() and " " not in given):
        return "holds a space, a line's end or another character that no key has"
    return shell_syntax_problem(given)


def endpoint_variable() -> str | None:
    """Return the variable that names an endpoint; None if none does."""
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return next((name for name in ENDPOINTS if os.environ.get(name)), None)


def bundle() -> str | None:
    """Return the file of authorities that the environment names, None if it names none."""
    return next(filter(None, map(os.environ.get, BUNDLES)), None)


def check_bundle(file: str) -> None:
    """Raise ConfigurationError where no certificate can be read from a file of authorities."""
    if fault := ca_file_problem(file):
        named = [name for name in BUNDLES if os.environ.get(name) == file]
        source = named[0] if named else "ca_bundle in the AWS configuration files"
        raise ConfigurationError(f"{source} names {file!r}, and {fault}. Mend it, or unset it")
