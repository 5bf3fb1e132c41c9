"""The queue for something that there is too little of."""

import asyncio
import time

from fibonacci.plugin.runtime import FairQueue, TaskWaiter


def test_a_caller_amid_its_own_wait() -> None:
    """Whoever asks again amid a wait of its own, as signal handlers do, is served first."""
    free: list[str] = []
    queue = FairQueue(lambda: free.pop() if free else None, TaskWaiter)

    async def main() -> None:
        deadline = time.monotonic() + 20
        other = asyncio.create_task(queue.get(deadline))
        await asyncio.sleep(0)
        outer = queue.get(deadline)
        outer.send(None)  # it waits
        free.append("thing")
        queue.wake()
        assert await queue.get(deadline) == "thing"
        outer.close()
        free.append("another")
        queue.wake()
        assert await other == "another"

    asyncio.run(main())
    assert not queue
