"""A Redis with mutual TLS, and a user who may do little."""

import ssl

import pytest
from services.redis import Secured
from services.resp import Client, ReplyError


def test_the_right_certificate_and_password_enter(secured_redis: Secured):
    """With the client's certificate and the URL's login its user is in."""
    assert secured_redis.url.startswith("rediss://fibonacci:")
    assert secured_redis("ACL", "WHOAMI") == b"fibonacci"


@pytest.mark.parametrize("command", [("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*")])
def test_what_is_dangerous_is_refused(secured_redis: Secured, command):
    """The user may not do what the ACL category `@dangerous` holds."""
    with pytest.raises(ReplyError, match="NOPERM"):
        secured_redis(*command)


def test_other_keys_are_refused(secured_redis: Secured):
    """The user's keys begin with `t`."""
    assert secured_redis("SET", "t:k", "v") == b"OK"
    with pytest.raises(ReplyError, match="NOPERM"):
        secured_redis("SET", "k", "v")


def test_no_certificate_is_refused(secured_redis: Secured):
    """Without a client's certificate nobody enters."""
    context = ssl.create_default_context(cafile=str(secured_redis.certificates.ca))
    assert refused(secured_redis, context)


def test_a_stranger_is_refused(secured_redis: Secured):
    """The certificate of an authority that the server does not know does not help."""
    made = secured_redis.certificates
    context = ssl.create_default_context(cafile=str(made.ca))
    context.load_cert_chain(made.stranger, made.stranger_key)
    assert refused(secured_redis, context)


def test_a_client_may_refuse_the_server(secured_redis: Secured):
    """Who trusts another authority does not speak to the server."""
    context = ssl.create_default_context(cafile=str(secured_redis.certificates.other_ca))
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(secured_redis.url, tls=context)


def test_a_wrong_password_is_refused(secured_redis: Secured):
    """A wrong password is told as such; so is no login at all."""
    host = f"{secured_redis.host}:{secured_redis.port}"
    with pytest.raises(ReplyError, match="WRONGPASS"):
        Client(f"rediss://fibonacci:wrong@{host}/0", tls=secured_redis.tls)
    with (
        Client(f"rediss://{host}/0", tls=secured_redis.tls) as client,
        pytest.raises(ReplyError, match="NOAUTH"),
    ):
        client("PING")


def test_keys_are_private(secured_redis: Secured):
    """Private keys are for their owner's eyes only, as clients demand."""
    assert secured_redis.certificates.client_key.stat().st_mode & 0o777 == 0o600


def refused(server: Secured, context: ssl.SSLContext) -> bool:
    """Whether the server ends the connection; with TLS 1.3 the client learns it when it reads."""
    with pytest.raises((ssl.SSLError, ConnectionError)), Client(server.url, tls=context) as client:
        client("PING")
    return True
