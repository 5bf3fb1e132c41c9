"""Connection URLs, which are parsed here, so that no driver ever gets a malformed one.

A driver quotes what it can't parse, including passwords. The errors raised here name the invalid
part, and never quote the URL.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin._foreign_urls import foreign_url_hint
from fibonacci.plugin._runtime.errors import without_frames
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem

Host = tuple[str, int | None]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# [::1]:6379, db.example:5432, or a bare name; a colon belongs to the port or inside brackets.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%25[\w.~-]+)?\]|[^\[\]:]+)(?::([0-9]{0,5}))?", re.ASCII)


# $NAME of a shell, and what a web console shows instead of a password.
_PLACEHOLDER = re.compile(r"\$[A-Z_][A-Z0-9_]*|\[[A-Z _-]+\]|<[\w -]+>")
_QUOTING = "urllib.parse.quote(password, safe='') does so"


@attrs.frozen(kw_only=True)
class StoreURL:
    """A connection URL, parsed and decoded; comparable, and safe to print."""

    scheme: str
    """In lower case."""
    username: str | None = None
    """None if the URL has none, or an empty one."""
    password: str | None = attrs.field(default=None, repr=False)
    """None if the URL has none; not in the repr."""
    hosts: tuple[Host, ...] = ()
    """Names and ports (None if the URL has none) of all hosts in the URL."""
    path: str = ""
    """The path, with its leading slash."""
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    """The options in the URL, as text."""

    def __str__(self) -> str:
        """Return the URL with the password and all query values masked."""
        user = self.username or ""
        secret = ":***" if self.password is not None else ""
        login = f"{user}{secret}@" if user or secret else ""
        hosts = ",".join(map(_format_host, self.hosts))
        query = "&".join(f"{name}=***" for name in self.query)
        return f"{self.scheme}://{login}{hosts}{self.path}{'?' if query else ''}{query}"

    @classmethod
    def parse(cls, text: str) -> "StoreURL":
        """Parse a URL (RFC 3986, with several hosts separated by commas).

        Whitespace around it is ignored: a file with a secret often ends with a newline.
        Raises ConfigurationError, which does not quote the URL.
        """
        try:
            return cls._parse(text.strip())
        except ConfigurationError as caught:
            error = without_frames(caught)
        del text
        raise error

    @classmethod
    def _parse(cls, text: str) -> "StoreURL":
        scheme, found, rest = text.partition("://")
        if not found or not _SCHEME.fullmatch(scheme) or rest == ":memory:":
            raise _malformed(
                shell_syntax_problem(text)
                or foreign_url_hint(text)
                or "does not start like redis://host:port/db or sqlite:///file.db"
            )
        _check_characters(text)
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        if "@" in path or "@" in query:
            raise _malformed(
                "has an '@' after its host; in a password write / as %2F, ? as %3F, "
                f"and @ anywhere as %40. {_QUOTING}"
            )
        login, at, hosts = authority.rpartition("@")
        if "@" in login:
            raise _malformed(
                f"has two '@' before its host; in a password write it as %40. {_QUOTING}"
            )
        if authority.endswith(":") and path.startswith("/"):
            raise _malformed(
                "has '://' twice: write one scheme, and separate several hosts by commas"
            )
        username, colon, password = login.partition(":")
        if _PLACEHOLDER.fullmatch(password):
            raise _malformed(
                "has a placeholder instead of the password: write the password. If this is the "
                f"password, escape its special characters. {_QUOTING}"
            )
        return cls(
            scheme=scheme.lower(),
            username=_decode(username) if username else None,
            password=_decode(password) if at and colon else None,
            hosts=tuple(_parse_host(host) for host in hosts.split(",")) if hosts else (),
            path=_decode(slash + path),
            query=_parse_query(query),
        )


def _check_characters(text: str) -> None:
    if problem := shell_syntax_problem(text):
        raise _malformed(
            f"{problem}. If the $ belongs to the password or name, write it as %24. {_QUOTING}"
        )
    if any(character <= " " or character == "\x7f" for character in text):
        raise _malformed("has a space or a control character in it; write a space as %20")
    if "#" in text:
        problem = f"has a '#' in it; in a password or a name write it as %23. {_QUOTING}"
        raise _malformed(foreign_url_hint(text) or problem)
    if _BAD_ESCAPE.search(text):
        raise _malformed(
            "has a '%' that is not followed by two hex digits; write a '%' itself as %25. "
            f"{_QUOTING}"
        )


def _format_host(host: Host) -> str:
    name, port = host
    name = f"[{name}]" if ":" in name else name
    return name if port is None else f"{name}:{port}"


def _parse_host(text: str) -> Host:
    match = _HOST.fullmatch(text)
    if match is None:
        raise _malformed(
            "has a host that can't be read; write host:port, or [address]:port (IPv6), and in a "
            f"password / as %2F, ? as %3F and # as %23. {_QUOTING}"
        )
    name, port = match.groups()
    if port is not None and not 0 < int(port or 0) <= 65535:
        raise _malformed("has a port that is not a number from 1 to 65535")
    return _decode(name.strip("[]")), int(port) if port else None


def _parse_query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for part in filter(None, text.split("&")):
        name, _, value = (_decode(piece) for piece in part.partition("="))
        if name in query:
            raise _malformed(f"has the option {name!r} twice")
        query[name] = value
    return query


def _decode(text: str) -> str:
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _malformed("has %-escapes that are not UTF-8") from None
    if any(character < " " or character == "\x7f" for character in plain):
        raise _malformed("has an escaped control character in it")
    return plain


def _malformed(problem: str) -> ConfigurationError:
    return ConfigurationError(f"the connection URL {problem}")
