"""Connection URLs: parsed in one place; a malformed URL is refused and never quoted (C23)."""

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci.plugin import StoreURL

CANARY = "s3cret-canary"

GOOD = {
    "redis://localhost:6379/0": StoreURL(scheme="redis", hosts=(("localhost", 6379),), path="/0"),
    "redis://localhost": StoreURL(scheme="redis", hosts=(("localhost", None),)),
    "rediss://:pw@h:1/2": StoreURL(scheme="rediss", password="pw", hosts=(("h", 1),), path="/2"),
    "REDIS://H:1": StoreURL(scheme="redis", hosts=(("H", 1),)),
    "redis://ann@h": StoreURL(scheme="redis", username="ann", hosts=(("h", None),)),
    "redis://ann:@h": StoreURL(scheme="redis", username="ann", password="", hosts=(("h", None),)),
    "redis://:@h": StoreURL(scheme="redis", password="", hosts=(("h", None),)),
    "redis://@h": StoreURL(scheme="redis", hosts=(("h", None),)),
    "redis://ann:a:b:c@h": StoreURL(
        scheme="redis", username="ann", password="a:b:c", hosts=(("h", None),)
    ),
    "redis://%40nn:p%40%3A%2F%25%23%20%C3%A9@h": StoreURL(
        scheme="redis", username="@nn", password="p@:/%# é", hosts=(("h", None),)
    ),
    "redis://[::1]:6379/0": StoreURL(scheme="redis", hosts=(("::1", 6379),), path="/0"),
    "redis://[fe80::1%25eth0]": StoreURL(scheme="redis", hosts=(("fe80::1%eth0", None),)),
    "redis://[::ffff:1.2.3.4]:1": StoreURL(scheme="redis", hosts=(("::ffff:1.2.3.4", 1),)),
    "redis+cluster://h1:1,h2:2": StoreURL(scheme="redis+cluster", hosts=(("h1", 1), ("h2", 2))),
    "redis+sentinel://h1:1,[::1],h3/mymaster/0": StoreURL(
        scheme="redis+sentinel",
        hosts=(("h1", 1), ("::1", None), ("h3", None)),
        path="/mymaster/0",
    ),
    "unix:///run/redis.sock": StoreURL(scheme="unix", path="/run/redis.sock"),
    "unix://ann:pw@/run/redis.sock?db=1": StoreURL(
        scheme="unix", username="ann", password="pw", path="/run/redis.sock", query={"db": "1"}
    ),
    "postgresql://u:p@h/db?sslmode=require&application_name=a%20b": StoreURL(
        scheme="postgresql",
        username="u",
        password="p",
        hosts=(("h", None),),
        path="/db",
        query={"sslmode": "require", "application_name": "a b"},
    ),
    "dynamodb://eu-west-1?table=t&endpoint_url=http://localhost:8000": StoreURL(
        scheme="dynamodb",
        hosts=(("eu-west-1", None),),
        query={"table": "t", "endpoint_url": "http://localhost:8000"},
    ),
    "sqlite:///file.db": StoreURL(scheme="sqlite", path="/file.db"),
    "sqlite:////var/file.db": StoreURL(scheme="sqlite", path="//var/file.db"),
    "sqlite:///a%20b%3F.db": StoreURL(scheme="sqlite", path="/a b?.db"),
    "memory://": StoreURL(scheme="memory"),
    "memory://name": StoreURL(scheme="memory", hosts=(("name", None),)),
    "x://h?a": StoreURL(scheme="x", hosts=(("h", None),), query={"a": ""}),
    "x://h?a=": StoreURL(scheme="x", hosts=(("h", None),), query={"a": ""}),
    "x://h?a=b=c&": StoreURL(scheme="x", hosts=(("h", None),), query={"a": "b=c"}),
    "x://h?a=b?c/d": StoreURL(scheme="x", hosts=(("h", None),), query={"a": "b?c/d"}),
    "x://h:1": StoreURL(scheme="x", hosts=(("h", 1),)),
    "x://h:65535": StoreURL(scheme="x", hosts=(("h", 65535),)),
    " x://h/a\r\n": StoreURL(scheme="x", hosts=(("h", None),), path="/a"),
    "x://:$tr0ng!@h": StoreURL(scheme="x", password="$tr0ng!", hosts=(("h", None),)),
    "x://:%24PASSWORD@h": StoreURL(scheme="x", password="$PASSWORD", hosts=(("h", None),)),
    "x://ü:1": StoreURL(scheme="x", hosts=(("ü", 1),)),
}


@pytest.mark.parametrize("text", GOOD)
def test_url_is_parsed_and_decoded(text: str):
    """StoreURL.parse() splits scheme, login, hosts, path and query, then percent-decodes each."""
    assert StoreURL.parse(text) == GOOD[text]


MALFORMED = {
    "redis://u:s3cret-canary%zzret@h": "has a '%' that is not followed by two hex digits",
    "redis://u:s3cret-canary%@h": "has a '%' that is not followed by two hex digits",
    "redis://u:s3cret-canary%4@h": "write a '%' itself as %25",
    "redis://u:s3cret-canary%FF@h": "has %-escapes that are not UTF-8",
    "redis://u:s3cret-canary%ED%A0%80@h": "has %-escapes that are not UTF-8",
    "redis://u:s3cret-canary@x@h": "has two '@' before its host; in a password write it as %40",
    "redis://u@s3cret-canary@h": "has two '@' before its host",
    "redis://u:s3cret-canary#1@h": "has a '#' in it; in a password or a name write it as %23",
    "redis://h/0#s3cret-canary": "has a '#' in it",
    "redis://u:s3cret-canary @h": "has a space or a control character in it",
    "redis://u:s3cret-canary@h\n?a=1": "has a space or a control character in it",
    "redis://u:s3cret-canary\t@h": "has a space or a control character in it",
    "redis://u:s3cret-canary\0@h": "has a space or a control character in it",
    "redis://u:s3cret-canary@h:port": "has a host that can't be read",
    "redis://u:s3cret-canary@h:": "has a port that is not a number from 1 to 65535",
    "redis://u:s3cret-canary@h:0": "has a port that is not a number from 1 to 65535",
    "redis://u:s3cret-canary@h:65536": "has a port that is not a number from 1 to 65535",
    "redis://u:s3cret-canary@h:99999": "has a port that is not a number from 1 to 65535",
    "redis://u:s3cret-canary@h:999999": "has a ",
    "redis://u:s3cret-canary@h:-1": "has a host that can't be read",
    "redis://u:s3cret-canary@h:1:2": "has a host that can't be read",
    "redis://u:s3cret-canary@h:٣": "has a host that can't be read",
    "redis://u:s3cret-canary@::1": "or [address]:port (IPv6)",
    "redis://u:s3cret-canary@[::1": "has a host that can't be read",
    "redis://u:s3cret-canary@[::1]x": "has a host that can't be read",
    "redis://u:s3cret-canary@[localhost]": "has a host that can't be read",
    "redis://u:s3cret-canary": "has a host that can't be read",
    "redis://u:s3cret-canary/0": "has a host that can't be read",
    "redis://u:p/s3cret-canary@h": "has an '@' after its host",
    "redis://u:12/s3cret-canary@h/0": "in a password write / as %2F",
    "redis://u:12?s3cret-canary@h": "has an '@' after its host",
    "redis://u:p?s3cret-canary@h": "has an '@' after its host",
    "redis:/u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "redis:u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "://u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "//u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "1redis://u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "re_dis://u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "u:s3cret-canary@h": "does not start like redis://host:port/db or sqlite:///file.db",
    "s3cret-canary": "does not start like redis://host:port/db or sqlite:///file.db",
    "redis://h?a=s3cret-canary&a=2": "has the option 'a' twice",
    "redis://u:s3cret-canary@http://h:1": "has '://' twice",
    "sentinel://:s3cret-canary@h1;sentinel://h2": "has '://' twice",
    "'redis://u:s3cret-canary@h'": "is in quotes",
    '"redis://u:s3cret-canary@h"\n': "is in quotes",
    "redis://u:s3cret-canary@${HOST}:1": "contains the name of a variable",
    "redis://u:s3cret-canary@$(HOST):1": "contains the name of a variable",
    "redis://:$REDIS_PASSWORD@h": "has a placeholder instead of the password",
    "postgresql://u:[YOUR-PASSWORD]@h/db": "has a placeholder instead of the password",
    "postgresql://u:<password>@h/db": "has a placeholder instead of the password",
    "$REDIS_URL": "contains the name of a variable",
    "psql 'postgresql://u:s3cret-canary@h/db'": "is a command: write only the URL",
    "redis-cli --tls -u redis://u:s3cret-canary@h": "is a command: write only the URL",
    "jdbc:postgresql://h/db?password=s3cret-canary": "starts with jdbc:, which only Java uses",
    "host=h dbname=db password=s3cret-canary": "write postgresql://user:password@host:port/db",
    "Server=h;Password=s3cret-canary": "write postgresql://user:password@host:port/db",
    "h:6380,password=s3cret-canary,ssl=True,abortConnect=False": "write rediss://:password@host:6",
    "h1:1,h2:2,password=s3cret-canary=,ssl=True": "write rediss://:password@host:6380",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/s3cret-canary": "write dynamodb://region?table=",
    "file:s3cret-canary.db?mode=ro": "mode=ro is readonly=true",
    ":memory:": "use backend='memory'",
    "sqlite://:memory:": "use backend='memory'",
    "REDIS_URL=redis://:s3cret-canary@h": "has the name of a variable before it",
    "export URL=redis://:s3cret-canary@h": "has the name of a variable before it",
    "redis-sentinel://:s3cret-canary@h/0#main": "write redis+sentinel://host:port,host:port/serv",
    "s3cret-canary:6379": "write redis://host:port/db",
    "/data/s3cret-canary.db": "is a path: write sqlite:///relative.db or sqlite:////absolute.db",
    "~/s3cret-canary": "is a path: write sqlite:///",
    "C:\\s3cret-canary.db": "is a path: write sqlite:///",
    "s3cret-canary.sqlite3": "is a path: write sqlite:///",
}


@pytest.mark.parametrize("text", MALFORMED, ids=ascii)
def test_malformed_url_is_refused_and_not_quoted(text: str):
    """C23: the error of a malformed URL names the part, and shows no password."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig("memory", text))
    assert str(caught.value).startswith("the connection URL ")
    assert MALFORMED[text] in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("text", MALFORMED, ids=ascii)
def test_malformed_url_is_not_in_the_repr(text: str):
    """C23: repr() of a config shows no part of a malformed URL, so that it can be logged."""
    assert CANARY not in repr(MemoryConfig("memory", text))


@given(
    st.text(max_size=5),
    st.sampled_from(["", ":", "@", "/", "?", "#", "%", "%zz", " ", "\0", "[", "]", ",", "&", "="]),
    st.integers(0, 40),
)
@settings(max_examples=500, deadline=None)
def test_mutated_url_shows_no_password(noise: str, sign: str, place: int):
    """C23: no repr and no error of a mutated URL shows its password."""
    url = f"redis://ann:{CANARY}@host:6379/0?a=1"
    place = min(place, url.index(CANARY)) if place < 20 else place - 20 + url.index("@")
    disturbed = url[:place] + noise + sign + url[place:]
    try:
        shown = f"{StoreURL.parse(disturbed)!r} {StoreURL.parse(disturbed)}"
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error))
    assert CANARY not in shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        (f"redis://ann:{CANARY}@h:1/0", "redis://ann:***@h:1/0"),
        (f"redis://:{CANARY}@h", "redis://:***@h"),
        ("redis://ann@h", "redis://ann@h"),
        ("redis://ann:@h", "redis://ann:***@h"),
        (f"redis://h1:1,h2/0?password={CANARY}&a=1", "redis://h1:1,h2/0?password=***&a=***"),
        (f"redis://ann:{CANARY}@[::1]:6379/0", "redis://ann:***@[::1]:6379/0"),
        ("redis://[::1],h2:2", "redis://[::1],h2:2"),
        ("sqlite:////var/file.db", "sqlite:////var/file.db"),
    ],
)
def test_str_of_a_url_masks_secrets(text: str, masked: str):
    """C23: str() of a URL masks the password and all query values, and nothing else."""
    url = StoreURL.parse(text)
    assert str(url) == masked
    assert CANARY not in repr(url)


@pytest.mark.parametrize("text", ["redis://h%00", "redis://h/%00", "x://h?a=%00", "x://u%00@h"])
def test_escaped_nul_is_refused(text: str):
    """StoreURL.parse() refuses an escaped NUL, which no driver accepts."""
    with pytest.raises(ConfigurationError):
        StoreURL.parse(text)


def test_urls_are_equal_if_their_decoded_parts_are():
    """Two URLs are equal if login, hosts, path and query are, however they are escaped."""
    assert StoreURL.parse("Redis://%61nn:p%61@h") == StoreURL.parse("redis://ann:pa@h")
    assert StoreURL.parse("redis://ann:a@h") != StoreURL.parse("redis://ann:b@h")
    assert StoreURL.parse("redis://h?a=1") != StoreURL.parse("redis://h?a=2")
    assert len({StoreURL.parse("redis://h"), StoreURL.parse("redis://h")}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "memory://name:1",
        "memory://name/path",
        "memory:///path",
        "memory://a,b",
        f"memory://u:{CANARY}@name",
        f"memory://:{CANARY}@name",
        "memory://u@name",
    ],
)
def test_memory_backend_takes_only_a_name(url: str):
    """The memory backend takes ``memory://name``, and refuses a scheme, port, path or login."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig("memory", url))
    assert str(caught.value) == (
        "backend 'memory' takes no connection URL, or memory://name for a store apart"
    )


def test_named_memories_are_separate_stores():
    """Two names of a memory backend are two stores; the same name is the same store."""
    one = Workflow("w", MemoryConfig("memory", "memory://url-one")).memory
    one.set("k", 1)
    assert Workflow("w", MemoryConfig("memory", "memory://url-two")).memory.get("k") is None
    assert Workflow("w", MemoryConfig("memory", "memory://url-one")).memory.get("k") == 1
