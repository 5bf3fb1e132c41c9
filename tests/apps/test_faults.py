"""The example's app while its store is unavailable: its responses, and what is remembered."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from services.proxy import Proxy

from fibonacci.testing.network import faults


def test_unavailable_store_is_a_503(ada: httpx.Client, proxy: Proxy) -> None:
    """An unavailable store is a 503 without internals; requests succeed once it is back."""
    requests = [("GET", "/health", None), ("GET", "/history", None)]
    requests += [("POST", path, {"message": "Hello"}) for path in ("/chat", "/chat/stream")]
    with proxy.fault(faults.Refuse()), ThreadPoolExecutor() as threads:
        waiting = [threads.submit(ada.request, *one[:2], json=one[2]) for one in requests]
        replies = [one.result() for one in waiting]
    for reply in replies:
        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.json() == {"detail": "try again soon"}
    assert ada.get("/health").json() == {"status": "ok"}
    assert ada.get("/history").json() == []
    assert ada.post("/chat", json={"message": "Hello"}).json() == {"answer": "Hello"}


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
def test_unexpected_error_is_a_500(ada: httpx.Client, path: str) -> None:
    """An unexpected error is a 500; only the log has the cause."""
    reply = ada.post(path, json={"message": "Fail"})
    assert (reply.status_code, reply.json()) == (500, {"detail": "internal error"})
    assert ada.get("/history").json() == []


def test_lost_reply_of_a_write(ada: httpx.Client, proxy: Proxy) -> None:
    """If the reply to a write is lost, the response says the turn may be stored; here it is."""
    for message in ("One", "Two"):  # the server knows all our scripts then
        ada.post("/chat", json={"message": message}).raise_for_status()
    with proxy.fault(faults.lost_reply(after=b"EVAL", times=1)):
        reply = ada.post("/chat", json={"message": "Three"})
    assert reply.status_code == 500
    assert reply.json() == {"detail": "this may be stored: look at /history"}
    assert [turn["user"] for turn in ada.get("/history").json()] == ["One", "Two", "Three"]
