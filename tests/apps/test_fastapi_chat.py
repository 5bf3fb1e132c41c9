"""examples/fastapi_chat, served by uvicorn, asked over HTTP by many at once."""

import asyncio

import httpx
import pytest
from services import faults
from services.proxy import Proxy

TURNS = 4


async def talk(url: str, number: int) -> tuple[list[str], list[dict[str, str]]]:
    """What one user is answered, and what is remembered of them."""
    headers = {"Authorization": f"Bearer token-of-{number}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        answers = []
        for turn in range(TURNS):
            reply = await client.post("/chat", json={"message": f"{number}.{turn}"})
            answers.append(reply.raise_for_status().json()["answer"])
        return answers, (await client.get("/history")).raise_for_status().json()


@pytest.mark.parametrize("server", ["app", "two_workers"])
def test_fifty_users_talk_at_once(server: str, request: pytest.FixtureRequest) -> None:
    """50 users x 4 turns: none meets another's words, none loses a turn, all are in order."""
    url = request.getfixturevalue(server).url

    async def all_of_them() -> list[tuple[list[str], list[dict[str, str]]]]:
        return await asyncio.gather(*(talk(url, number) for number in range(50)))

    for number, (answers, remembered) in enumerate(asyncio.run(all_of_them())):
        said = [f"{number}.{turn}" for turn in range(TURNS)]
        # Each answer names all that was said before it, the newest first.
        assert answers == [" < ".join(said[turn::-1]) for turn in range(TURNS)]
        assert remembered == [
            {"user": message, "assistant": answer}
            for message, answer in zip(said, answers, strict=True)
        ]
