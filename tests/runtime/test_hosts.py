"""Hosts' names that nobody needs to look up."""

import pytest

from fibonacci.plugin.runtime import host_problem

LONG = "a" * 63


@pytest.mark.parametrize(
    "host",
    ["localhost", "db_1", "10.0.0.1", "::1", "fe80::1%eth0", "db.example.", "bücher.example", LONG],
)
def test_a_name_that_may_be_found(host: str):
    """Names, addresses, and what Docker or another script makes of them."""
    assert host_problem(host) is None


@pytest.mark.parametrize(
    ("host", "told"),
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
def test_a_name_that_nobody_can_find(host: str, told: str):
    """What is wrong with it is told, and it is not quoted."""
    fault = host_problem(host)
    assert fault is not None
    assert told in fault
