"""Addresses: no two records share one, and each form decodes to its own address (C1)."""

import random
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci.plugin import SCOPES, Address, Scope, Space, encode_parts, parse_address

PREFIX_ALPHABET = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "{}*?[]\\%")
HOSTILE = ":/%{}*?[]\\ v1wuog\x01\x7fé\u0301É😀\n\t+&=#@25AF"

Parts = tuple[str, Scope, str, str]

PREFIXES = ["", "fibonacci:", "a:v1:w", "v1", ":", "v1:u:1:", PREFIX_ALPHABET]

prefixes = st.sampled_from(PREFIXES)
names = st.text(HOSTILE, min_size=1, max_size=4) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4
)
spaces = st.builds(Space, prefixes, st.sampled_from(SCOPES[:3]), names) | st.builds(
    Space, prefixes, st.just("global"), st.just("")
)
addresses = st.builds(Address, spaces, names)


def spelled(choices: bytes) -> Address:
    """An address made of hostile characters: a byte chooses each part and each character."""
    prefix = PREFIXES[choices[0] % len(PREFIXES)]
    scope = SCOPES[choices[1] % len(SCOPES)]
    characters = [HOSTILE[byte % len(HOSTILE)] for byte in choices[3:]]
    middle = 1 + choices[2] % (len(characters) - 1)
    owner = "" if scope == "global" else "".join(characters[:middle])
    return Address(Space(prefix, scope, owner), "".join(characters[middle:]))


@pytest.mark.bare  # as others cover it with fewer
def test_20_000_addresses_are_distinct():
    """C1: each text parses to its own address, and no text and no encoded form occurs twice."""
    texts: dict[str, Address] = {}
    forms: dict[bytes, Address] = {}

    rng = random.Random(1)
    for _ in range(20_000):
        address = spelled(rng.randbytes(rng.randint(5, 12)))
        assert parse_address(address.text) == address
        assert texts.setdefault(address.text, address) == address
        assert forms.setdefault(encode_parts(*address.space, address.key), address) == address
    assert len(texts) > 15_000


PIECES = [
    *(":", "::", "%", "%3A", "%253A", "/", "*", "?", "[a]", "{}", "v1", "v1:", ":v1:w:", "w", "u"),
    *("g", "o", "a", "A", "b", "1", "é", "e\u0301", "\u212b", "Å", " ", "\t", "\n", "\x01", "😀"),
    *("\\", "%00", "..", "default", "fibonacci:", "+", "a b", "\u200b", "\ufeff", "ß", "ss"),
]


def hostile_parts(rng: random.Random) -> Parts:
    def name() -> str:
        return "".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 3, 4))))

    scope = rng.choice(SCOPES)
    ascii_pieces = [
        piece for piece in PIECES if piece.isascii() and set(piece) <= set(PREFIX_ALPHABET)
    ]
    prefix = "".join(rng.choices(ascii_pieces, k=rng.choice((0, 1, 2))))
    return prefix, scope, "" if scope == "global" else name(), name()


def collisions(count: int, seed: int) -> tuple[int, int, int, int]:
    """How many different tuples, texts, canonical forms, and texts that do not read back."""
    rng = random.Random(seed)
    tuples, texts, forms, lost = set(), set(), set(), 0
    for _ in range(count):
        prefix, scope, owner, key = parts = hostile_parts(rng)
        address = Address(Space(prefix, scope, owner), key)
        tuples.add(blake2b(repr(parts).encode(), digest_size=16).digest())
        texts.add(blake2b(address.text.encode("ascii"), digest_size=16).digest())
        forms.add(blake2b(encode_parts(*parts), digest_size=16).digest())
        lost += parse_address(address.text) != address
    return len(tuples), len(texts), len(forms), lost


@pytest.mark.bare  # as others cover it with fewer
def test_20_000_hostile_addresses_are_distinct():
    """C1: names of separators, escapes, look-alikes and ends of other addresses stay distinct."""
    tuples, texts, forms, lost = collisions(20_000, seed=1)
    assert tuples > 15_000
    assert (texts, forms, lost) == (tuples, tuples, 0)


@pytest.mark.long
def test_1_000_000_hostile_addresses_are_distinct():
    """C1: a million hostile addresses are distinct."""
    tuples, texts, forms, lost = collisions(1_000_000, seed=2)
    assert tuples > 700_000
    assert (texts, forms, lost) == (tuples, tuples, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("", "workflow", "a:b", "c"), ("", "workflow", "a", "b:c")),
        (("", "workflow", "a", "b"), ("", "user", "a", "b")),
        (("", "user", "a", "b"), ("", "organization", "a", "b")),
        (("x:", "workflow", "a", "b"), ("x", "workflow", ":a", "b")),
        (("v1:w:a:", "workflow", "a", "b"), ("", "workflow", "a:v1:w:a", "b")),
        (("", "workflow", "a%3Ab", "c"), ("", "workflow", "a:b", "c")),
        (("", "workflow", "A", "k"), ("", "workflow", "a", "k")),
        (("", "workflow", "é", "k"), ("", "workflow", "e\u0301", "k")),
        (("", "workflow", "a ", "k"), ("", "workflow", "a", "k")),
        (("", "workflow", "a+b", "k"), ("", "workflow", "a b", "k")),
    ],
)
def test_similar_addresses_are_distinct(one: Parts, other: Parts):
    """C1, C2: no separator, escape or normalisation makes two addresses equal."""
    left, right = (Address(Space(*parts[:3]), parts[3]) for parts in (one, other))
    assert left.text != right.text
    assert encode_parts(*one) != encode_parts(*other)


def test_address_text_is_as_documented():
    """C3: an address's text is the prefix literally, then version, scope, owner and key."""
    address = Address(Space("app:", "user", "ü 1"), "a:b/c")
    assert address.text == "app:v1:u:%C3%BC%201:a%3Ab%2Fc"
    assert address.space.text == "app:v1:u:%C3%BC%201"


def test_encoded_parts_are_as_documented():
    """encode_parts() writes four bytes of length, big-endian, then UTF-8; ciphers depend on it."""
    assert encode_parts("é", "", "ab") == b"\0\0\0\2\xc3\xa9\0\0\0\0\0\0\0\2ab"


@given(addresses)
@settings(deadline=None)
def test_address_of_any_text_parses_back(address: Address):
    """C1: an address with any characters parses back from its text."""
    assert parse_address(address.text) == address


@given(addresses)
@settings(deadline=None)
def test_address_text_has_no_special_characters(address: Address):
    """C1: an address's text has no brace, glob, space or colon of the user's after the prefix."""
    rest = address.text.removeprefix(address.space.prefix)
    assert rest.isascii()
    assert rest.isprintable()
    assert not set(rest) & set("{}*?[]\\ ")
    assert rest.count(":") == 3


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(deadline=None)
def test_text_that_parses_is_the_text_of_its_address(text: str):
    """C1: a text that parses is exactly the text of its address: there is no second spelling."""
    address = parse_address(text)
    assert address is None or address.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "::::",
        "k",
        "fibonacci:k",
        "fibonacci:v1:w:a",
        "fibonacci:v2:w:a:k",
        "fibonacci:v1:x:a:k",
        "fibonacci:v1:W:a:k",
        "fibonacci:v1:workflow:a:k",
        "fibonacci:v1:w:a:k%3a",
        "fibonacci:v1:w:a:%6B",
        "fibonacci:v1:w:a:k%",
        "fibonacci:v1:w:a:k%zz",
        "fibonacci:v1:w:a:a b",
        "fibonacci:v1:w:a:a+b/",
        "fibonacci:v1:w:é:k",
        "fibonacci:v1:w:a:%FF",
        "fibonacci:v1:w:a:%ED%A0%80",
        "fibonacci:v1:w:a:%C0%80",
        "fibonacci:v1:w:a:k:",
        " fibonacci:v1 :w:a:k",
    ],
)
def test_foreign_text_is_not_an_address(text: str):
    """C1: parse_address() returns None for a foreign key, which is neither listed nor removed."""
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "text",
    ["v1:w:\ud800:k", "v1:w:a:\udfff", "\ud800v1:w:a:k", "fibonacci:v1:w:a:k\udcff"],
)
def test_text_with_half_a_surrogate_pair_is_not_an_address(text: str):
    """C1: parse_address() of text decoded with ``surrogateescape`` returns None."""
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "fibonacci:v1:w:a:",
        "fibonacci:v1:w::k",
        "fibonacci:v1:u::k",
        "fibonacci:v1:g:somebody:k",
        "fibonacci:v1:w:a:%00",
        f"fibonacci:v1:w:a:{'k' * 1001}",
    ],
)
def test_text_of_an_impossible_address_is_not_an_address(text: str):
    """C1, C3: parse_address() returns None for a key or owner that nobody can set or delete."""
    assert parse_address(text) is None


def test_str_of_an_address_names_the_record():
    """str() of an address names the record, its scope and its owner, for error messages."""
    assert str(Address(Space("p:", "user", "u1"), "k")) == "'k' in user scope of 'u1'"
    assert str(Address(Space("p:", "global", ""), "k")) == "'k' in global scope"
