"""Host names that can't be valid are refused without a lookup."""

import pytest

from fibonacci.plugin.runtime import host_problem

LONG = "a" * 63


@pytest.mark.parametrize(
    "host",
    ["localhost", "db_1", "10.0.0.1", "::1", "fe80::1%eth0", "db.example.", "bücher.example", LONG],
)
def test_a_valid_name(host: str):
    """Names, addresses, and names as Docker or scripts generate them are valid."""
    assert host_problem(host) is None


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("", "letters"),
        ("<host>", "letters"),
        ("$HOST", "letters"),
        ("http:", "IPv6"),
        (":::1", "IPv6"),
        ("a..b", "empty part"),
        (".a", "empty part"),
        (f"{LONG}a.example", "is too long: 63"),
        (".".join([LONG] * 4), "253"),
        ("ü" * 64, "IDNA"),
        ("a\u200db", "letters"),
    ],
    ids=ascii,
)
def test_an_invalid_name(host: str, reason: str):
    """An invalid name gets its reason, and is not quoted."""
    problem = host_problem(host)
    assert problem is not None
    assert reason in problem
