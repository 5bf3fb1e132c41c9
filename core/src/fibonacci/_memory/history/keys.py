"""The keys of a history's records: the head's is the history's own, and a page's begins with it.

The end of a page's key has a fixed length and form, and no history's key may end so. So no record
of one history is ever taken for another's, even if one's key begins with the other's.
"""

import re
from typing import Final

import attrs

from fibonacci.errors import InvalidKeyError
from fibonacci.plugin.address import MAX_NAME_BYTES, Address

_MARK: Final = "/pages/"
_GENERATION: Final = re.compile(r"[\w-]{22}", re.ASCII)
_PAGE: Final = re.compile(r"/pages/(?P<generation>[\w-]{22})/(?P<first>[0-9]{12})", re.ASCII)
_SUFFIX_LENGTH: Final = len(_MARK) + 22 + 1 + 12


@attrs.frozen
class PageKey:
    """Which page of which history a key is."""

    generation: str
    first: int


def check_key(key: str) -> None:
    """Raise InvalidKeyError if a history can't have this key."""
    if (problem := history_key_problem(key)) is not None:
        raise InvalidKeyError(f"the key of a history {problem}")


def history_key_problem(key: str) -> str | None:
    """Return why a history can't have this key, None if it can: as the end of a sentence."""
    if _PAGE.fullmatch(key[-_SUFFIX_LENGTH:]):
        return f"can't be {key!r}, which is the key of a page"
    limit = MAX_NAME_BYTES - _SUFFIX_LENGTH
    if (size := len(key.encode())) > limit:
        return f"has {size:,} bytes in UTF-8; it may have {limit}, as those of its pages are longer"
    return None


def is_generation(text: str) -> bool:
    """Return whether a text can be a generation."""
    return bool(_GENERATION.fullmatch(text))


def page_prefix(head: Address, generation: str = "") -> str:
    """Return what the keys of a history's pages begin with, those of all generations or of one."""
    return head.key + _MARK + (f"{generation}/" if generation else "")


def page_address(head: Address, generation: str, first: int) -> Address:
    """Return the address of a page."""
    return Address(head.space, f"{page_prefix(head, generation)}{first:012}")


def parse_page_key(head: Address, key: str) -> PageKey | None:
    """Return which page of this history a key is; None for any other record."""
    match = _PAGE.fullmatch(key, len(head.key)) if key.startswith(head.key) else None
    return PageKey(match["generation"], int(match["first"])) if match else None


def is_page_key(key: str) -> bool:
    """Return whether it is the key of a page, of whatever history."""
    return len(key) > _SUFFIX_LENGTH and bool(_PAGE.fullmatch(key, len(key) - _SUFFIX_LENGTH))
