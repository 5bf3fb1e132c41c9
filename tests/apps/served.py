"""The example's app with a slow model: `uvicorn --app-dir tests/apps served:app`."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from fibonacci import ModelError, register_plugin
from fibonacci.plugin import (
    Completion,
    Model,
    ModelRequest,
    ModelSettings,
    TextDelta,
    hookimpl,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


FAIL = "Fail"


class Slow(Model):
    """A model that repeats its prompt and the earlier ones, newest first."""

    begun = ended = 0
    """How many streams."""

    def complete(self, request: ModelRequest) -> Completion:
        first, _, message = request.prompt.partition("\n\n")
        if message == FAIL:
            raise ModelError("the model's own words")
        before = json.loads(first.partition(": ")[2])
        return Completion(text=" < ".join([message, *(turn["user"] for turn in reversed(before))]))

    async def acomplete(self, request: ModelRequest) -> Completion:
        await asyncio.sleep(0.01 + hash(request.prompt) % 20 / 1_000)  # some take longer
        return self.complete(request)

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        """Yield the answer word by word."""
        whole = self.complete(request)
        Slow.begun += 1
        try:
            await asyncio.sleep(0.3 if whole.text.startswith("Think") else 0)
            for word in re.findall(r"\s*\S+|\s+$", whole.text):
                await asyncio.sleep(0.01)
                yield TextDelta(word)
            yield whole
        finally:
            Slow.ended += 1


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Provide the model `slow`."""
    return Slow()


register_plugin(
    "models", "slow", SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_model=fibonacci_model)
)

app = import_module("fastapi_chat.app").app


@app.get("/streams")
async def streams() -> list[int]:
    """Return how many streams of the model have started, and how many have ended."""
    return [Slow.begun, Slow.ended]
