"""The example's app with a model that takes a moment: `uvicorn --app-dir tests/apps served:app`."""

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from fibonacci import register_plugin
from fibonacci.plugin import Completion, Model, ModelRequest, ModelSettings, hookimpl

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "fastapi_chat"))


class Slow(Model):
    """Says what it was asked, and what was asked before; some answers take longer than others."""

    def complete(self, request: ModelRequest) -> Completion:
        first, _, message = request.prompt.partition("\n\n")
        before = json.loads(first.partition(": ")[2])
        return Completion(text=" < ".join([message, *(turn["user"] for turn in reversed(before))]))

    async def acomplete(self, request: ModelRequest) -> Completion:
        await asyncio.sleep(0.01 + hash(request.prompt) % 20 / 1_000)
        return self.complete(request)


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """The model `slow`."""
    return Slow()


register_plugin(
    "models", "slow", SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_model=fibonacci_model)
)

app = import_module("app").app
