"""A Redis with mutual TLS and a restricted user."""

import ssl

import pytest
from services.redis import Secured
from services.resp import Client, ReplyError


def test_the_right_certificate_and_password_enter(secured_redis: Secured):
    """The client's certificate and the URL's login give access."""
    assert secured_redis.url.startswith("rediss://fibonacci:")
    assert secured_redis("ACL", "WHOAMI") == b"fibonacci"


@pytest.mark.parametrize("command", [("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*")])
def test_dangerous_commands_are_refused(secured_redis: Secured, command):
    """The user may not run commands of the ACL category `@dangerous`."""
    with pytest.raises(ReplyError, match="NOPERM"):
        secured_redis(*command)


def test_other_keys_are_refused(secured_redis: Secured):
    """The user has access only to keys that begin with `t`."""
    assert secured_redis("SET", "t:k", "v") == b"OK"
    with pytest.raises(ReplyError, match="NOPERM"):
        secured_redis("SET", "k", "v")


def test_no_certificate_is_refused(secured_redis: Secured):
    """A client without a certificate is refused."""
    context = ssl.create_default_context(cafile=str(secured_redis.certificates.ca))
    assert refused(secured_redis, context)


def test_a_stranger_is_refused(secured_redis: Secured):
    """A certificate of an unknown authority is refused."""
    made = secured_redis.certificates
    context = ssl.create_default_context(cafile=str(made.ca))
    context.load_cert_chain(made.stranger, made.stranger_key)
    assert refused(secured_redis, context)


def test_a_client_may_refuse_the_server(secured_redis: Secured):
    """A client that trusts another authority refuses the server."""
    context = ssl.create_default_context(cafile=str(secured_redis.certificates.other_ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(secured_redis.url, tls=context)


def test_a_wrong_password_is_refused(secured_redis: Secured):
    """A wrong password and a missing login each get their own error."""
    host = f"{secured_redis.host}:{secured_redis.port}"
    with pytest.raises(ReplyError, match="WRONGPASS"):
        Client(f"rediss://fibonacci:wrong@{host}/0", tls=secured_redis.tls)
    with (
        Client(f"rediss://{host}/0", tls=secured_redis.tls) as client,
        pytest.raises(ReplyError, match="NOAUTH"),
    ):
        client("PING")


def test_keys_are_private(secured_redis: Secured):
    """Only their owner can read private keys, as clients require."""
    assert secured_redis.certificates.client_key.stat().st_mode & 0o777 == 0o600


def refused(server: Secured, context: ssl.SSLContext) -> bool:
    """Return whether the server ends the connection; with TLS 1.3 a client learns it on reading."""
    with pytest.raises((ssl.SSLError, ConnectionError)), Client(server.url, tls=context) as client:
        client("PING")
    return True
