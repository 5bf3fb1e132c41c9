"""Where a record lives: its address, an immutable value.

A backend may store records in any layout in which two addresses never share a record, and a
physical key decodes back to its address. Two encodings do that: :attr:`Address.text` (printable,
for stores with one flat key) and :func:`encode_parts` (bytes, for columns and for authenticated
encryption).
"""

from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

Scope = Literal["workflow", "user", "organization", "global"]
"""Who can see a record."""

SCOPES: tuple[Scope, ...] = ("workflow", "user", "organization", "global")
"""All scopes, in the order in which messages list them (a read looks in the user's scope first)."""

MAX_NAME_BYTES = 1_000
"""The maximum length of a key, an id or a name, in bytes of UTF-8: the strictest backend's."""

MAX_PREFIX_LENGTH = 128
"""The maximum length of a key prefix, in characters."""

_LETTERS: dict[Scope, str] = {scope: scope[0] for scope in SCOPES}
_SCOPES: dict[str, Scope] = {letter: scope for scope, letter in _LETTERS.items()}


# A named tuple, not an attrs class: stores look records up by these, and a tuple is hashed and
# compared in C (33 ns a look-up against 103 ns).
class Space(NamedTuple):
    """All records of one owner: what ``clear`` and ``list_keys`` work on."""

    prefix: str
    """The key prefix, as configured."""
    scope: Scope
    """The scope of its records."""
    owner: str
    """The workflow's name, the user's id, the organization's id, or "" for the global scope."""

    @property
    def text(self) -> str:
        """The space as printable ASCII, which starts with the prefix as it is."""
        return f"{self.prefix}v1:{_LETTERS[self.scope]}:{quote(self.owner, safe='')}"


class Address(NamedTuple):
    """One record: its space, and its key in it."""

    space: Space
    """The space of the record."""
    key: str
    """The key as the user wrote it."""

    @property
    def text(self) -> str:
        """The address as printable ASCII: ``{prefix}v1:{w|u|o|g}:{owner}:{key}``.

        Owner and key are percent-encoded (RFC 3986), so neither holds a colon, a brace or a glob
        character, and no two addresses share a text. :func:`parse_address` reads it back.
        """
        return f"{self.space.text}:{quote(self.key, safe='')}"

    def __str__(self) -> str:
        """The address as error messages name it."""
        owner = f" of {self.space.owner!r}" if self.space.owner else ""
        return f"{self.key!r} in {self.space.scope} scope{owner}"


def parse_address(text: str) -> Address | None:
    """Return the address with this text, or None if it is not the text of an address.

    Parse scanned keys before they are listed or removed: text that only looks like an address
    (such as another encoding of the same characters) was written by another program.
    """
    head, *fields = text.rsplit(":", 3)
    if len(fields) != 3 or not head.endswith("v1") or fields[0] not in _SCOPES:
        return None
    letter, owner, key = fields
    space = Space(head.removesuffix("v1"), _SCOPES[letter], unquote(owner))
    address = Address(space, unquote(key))
    named = name_problem(address.key) is None and prefix_problem(space.prefix) is None
    owned = not space.owner if space.scope == "global" else name_problem(space.owner) is None
    return address if named and owned and address.text == text else None


def name_problem(name: str) -> str | None:
    """Return what is wrong with a key, an id or a workflow's name; None if nothing is.

    A name is not folded, trimmed or normalized: "A" is not "a", and composed characters
    are not the decomposed ones.
    """
    if not name:
        return "is empty; it needs at least one character"
    if "\0" in name:
        return f"has a NUL character in it, at position {name.index(chr(0))}"
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        return f"has half of a surrogate pair in it, at position {error.start}"
    if size > MAX_NAME_BYTES:
        return f"has {size:,} bytes in UTF-8; it may have {MAX_NAME_BYTES:,}"
    return None


def prefix_problem(prefix: str) -> str | None:
    """Return what is wrong with a key prefix; None if nothing is."""
    if len(prefix) > MAX_PREFIX_LENGTH:
        return f"has {len(prefix)} characters; it may have {MAX_PREFIX_LENGTH}"
    for character in prefix:
        if not "!" <= character <= "~" or character in "{}*?[]\\%":
            return (
                f"may not contain {character!r}: it is printable ASCII without spaces "
                f"and without any of {{}}*?[]\\%"
            )
    return None


def encode_parts(*parts: str) -> bytes:
    """Return the parts as bytes, each after its length: different parts give different bytes.

    Store or authenticate ``encode_parts(*space)`` and ``encode_parts(*space, key)``. Each part is
    four bytes of length, big-endian, followed by its UTF-8.
    """
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
