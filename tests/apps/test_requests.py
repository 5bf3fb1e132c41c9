"""The example's app authenticates requests and checks their bodies."""

import httpx
import pytest


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer none", "Bearer tökän", "Basic x"])
def test_request_without_a_valid_token_is_refused(ada: httpx.Client, token: str | None) -> None:
    """A request without a known token gets a 401 that says how to authenticate."""
    del ada.headers["Authorization"]
    if token is not None:
        ada.headers = httpx.Headers([(b"Authorization", token.encode())])
    for method, path in (("POST", "/chat"), ("GET", "/history"), ("DELETE", "/history")):
        body = {"message": "Hello"} if method == "POST" else None
        reply = ada.request(method, path, json=body)
        assert reply.status_code == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_user_id_of_a_request_is_not_used(ada: httpx.Client, bob: httpx.Client) -> None:
    """A user id in the body is refused, and one in the query is ignored: only the token counts."""
    reply = ada.post("/chat", json={"message": "Hello", "user_id": "user-3"})
    assert reply.status_code == 422
    assert ada.get("/history").json() == bob.get("/history").json() == []
    ada.post("/chat?user_id=user-3", json={"message": "Hello"}).raise_for_status()
    assert bob.get("/history", params={"user": "user-2"}).json() == []
    assert len(ada.get("/history").json()) == 1


def test_delete_forgets_only_the_callers_history(ada: httpx.Client, bob: httpx.Client) -> None:
    """DELETE forgets only the history of the token's user."""
    for user in (ada, bob):
        user.post("/chat", json={"message": "Hello"}).raise_for_status()
    assert ada.delete("/history").status_code == 204
    assert ada.get("/history").json() == []
    assert len(bob.get("/history").json()) == 1


def test_history_is_limited_to_twenty_turns(ada: httpx.Client) -> None:
    """The history holds the last twenty turns; the oldest goes first, with its answer."""
    for turn in range(22):
        ada.post("/chat", json={"message": f"{turn}"}).raise_for_status()
    history = ada.get("/history").json()
    assert [turn["user"] for turn in history] == [f"{turn}" for turn in range(2, 22)]
    assert all(turn["assistant"].startswith(turn["user"]) for turn in history)


@pytest.mark.parametrize("text", ["{{memory.history}}", "a\0b", "\N{SNOWMAN}", '"}],', "\n\n"])
def test_message_is_plain_text(ada: httpx.Client, text: str) -> None:
    """A user's message is neither rendered as a template nor parsed as part of the history."""
    assert ada.post("/chat", json={"message": text}).json() == {"answer": text}
    assert ada.get("/history").json() == [{"user": text, "assistant": text}]


@pytest.mark.parametrize("body", [b'{"message": "\\ud800"}', b'{"message": ""}', b"[", b"\xff"])
def test_invalid_message_is_refused(ada: httpx.Client, body: bytes) -> None:
    """An invalid message is a client error, and nothing is remembered."""
    reply = ada.post("/chat", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= reply.status_code < 500
    assert ada.get("/history").json() == []
