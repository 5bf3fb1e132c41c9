"""examples/fastapi_chat under concurrent requests, in one process and in two."""

import asyncio
import json
import re

import httpx
import pytest

from .server import headers

TURNS = 4

Talk = tuple[list[str], list[dict[str, str]]]


def answer(reply: httpx.Response) -> str:
    """Return the whole answer, streamed or not."""
    if reply.headers["Content-Type"] == "application/json":
        return reply.json()["answer"]
    *pieces, end = re.findall(r"(?:event: (\w+)\n)?data: (.*)\n\n", reply.text)
    assert end[0] == "done"
    return "".join(json.loads(data)["text"] for _, data in pieces)


async def talk(client: httpx.AsyncClient, user: str, turns: int) -> Talk:
    """Run one user's turns in order; return the answers and the stored history."""
    answers = []
    (await client.delete("/history", headers=headers(user))).raise_for_status()
    for turn in range(turns):
        path = "/chat/stream" if turn % 2 else "/chat"
        body = {"message": f"{user}.{turn}"}
        reply = await client.post(path, json=body, headers=headers(user))
        answers.append(answer(reply.raise_for_status()))
    return answers, (await client.get("/history", headers=headers(user))).raise_for_status().json()


async def at_once(url: str, *users: str, turns: int) -> list[Talk]:
    """Run several users' chats concurrently, and return their answers."""
    limits = httpx.Limits(max_connections=len(users))
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
        return await asyncio.gather(*(talk(client, user, turns) for user in users))


@pytest.mark.parametrize("server", ["app", "two_workers"])
def test_concurrent_users(server: str, request: pytest.FixtureRequest) -> None:
    """20 users with 4 turns each: no user sees another's text, and no turn is lost or out of order.

    Every other answer is streamed.
    """
    users = [f"user-{number}" for number in range(10, 30)]
    talks = asyncio.run(at_once(request.getfixturevalue(server).url, *users, turns=TURNS))
    for user, (answers, remembered) in zip(users, talks, strict=True):
        said = [f"{user}.{turn}" for turn in range(TURNS)]
        # Each answer lists the previous messages, newest first.
        assert answers == [" < ".join(said[turn::-1]) for turn in range(TURNS)]
        assert remembered == [
            {"user": message, "assistant": answer}
            for message, answer in zip(said, answers, strict=True)
        ]


async def in_tabs(url: str, tabs: int) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Send one user's messages concurrently; return the answers by message, and the history."""
    whose = headers("user-1")
    async with httpx.AsyncClient(base_url=url, timeout=300, headers=whose) as client:
        asked = [f"tab {tab}" for tab in range(tabs)]
        replies = await asyncio.gather(
            *(client.post("/chat", json={"message": message}) for message in asked)
        )
        answers = [reply.raise_for_status().json()["answer"] for reply in replies]
        remembered = (await client.get("/history")).raise_for_status().json()
    return dict(zip(asked, answers, strict=True)), remembered


@pytest.mark.parametrize("server", ["app", "two_workers"])
def test_concurrent_requests_of_one_user(server: str, request: pytest.FixtureRequest) -> None:
    """Twelve concurrent requests of one user store each turn once, with its own answer."""
    answers, remembered = asyncio.run(in_tabs(request.getfixturevalue(server).url, 12))
    assert len(remembered) == 12
    assert {turn["user"]: turn["assistant"] for turn in remembered} == answers
