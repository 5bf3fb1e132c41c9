"""Objects of an event loop are closed with it."""

import asyncio

from fibonacci.plugin.runtime import LoopLocal


class Client:
    """An object of a loop that records its end."""

    def __init__(self):
        self.ended = ""

    async def close(self):
        await asyncio.sleep(0)
        self.ended = "closed"

    def close_nowait(self):
        self.ended = "abandoned"


def registry():
    return LoopLocal(Client.close, close_nowait=Client.close_nowait)


def test_closed_with_its_loop():
    """A loop that ends as usual closes its object, and the next loop gets its own."""
    clients, made = registry(), []

    async def use():
        assert clients.get() is None
        made.append(Client())
        clients.set(made[-1])
        assert clients.get() is made[-1]

    for _ in range(3):
        asyncio.run(use())
    assert [one.ended for one in made] == ["closed"] * 3
    assert not clients._entries


def test_abandoned_by_its_loop():
    """An object of a loop that was closed abruptly is abandoned when the next loop comes."""
    clients, first, second = registry(), Client(), Client()

    async def use(client):
        clients.set(client)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(first))
    loop.close()
    assert first.ended == ""
    asyncio.run(use(second))
    assert [first.ended, second.ended] == ["abandoned", "closed"]


def test_taken_out():
    """An object that was taken out is closed by its taker, and by no loop."""
    clients, client = registry(), Client()

    async def use():
        clients.set(client)
        assert clients.pop_all() == [(asyncio.get_running_loop(), client)]
        assert clients.get() is None

    asyncio.run(use())
    assert client.ended == ""
