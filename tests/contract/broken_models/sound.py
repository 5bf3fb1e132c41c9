"""The sound models that the broken ones derive from, and the suite's prompts for them."""

import asyncio
import re
import threading
import time
from contextlib import contextmanager
from time import monotonic
from typing import Any

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, Usage, message_text

BROKEN = {}
SLOTS = 4
KEY = "sk-secret-0123456789"

ENDLESS = ModelRequest(prompt="endless: words and more words", max_tokens=10**6)
SLOW = ModelRequest(prompt="slow: a word in an hour")
BUSY = ModelRequest(prompt="busy: try it again later")
WRONG = ModelRequest(prompt="wrong: never try it again", system_prompt="You are never right.")


def broken(test):
    """Register a model."""

    def enter(model):
        model.test = test
        BROKEN[model.__name__] = model
        return model

    return enter


class Sound(Model):
    """Repeats the words of the prompt one at a time, at most four completions at once.

    A completion is a sequence of steps: a number is a pause in seconds, all else a piece.
    """

    supported_options = frozenset({"temperature", "stop", "messages"})

    def __init__(self):
        self.slots = threading.BoundedSemaphore(SLOTS)

    def complete(self, request) -> Any:
        *_, whole = self.stream(request)
        return whole

    async def acomplete(self, request) -> Any:
        *_, whole = [piece async for piece in self.astream(request)]
        return whole

    def stream(self, request) -> Any:
        with self.slot(request):
            for step in self.steps(request):
                if isinstance(step, float):
                    time.sleep(step)
                else:
                    yield step

    async def astream(self, request):
        async with asyncio.timeout(10):
            while not self.slots.acquire(blocking=False):
                await asyncio.sleep(0.001)
                self.check_time(request)
        try:
            for step in self.steps(request):
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.slots.release()

    def take(self):
        """Acquire a slot within 0.1 s."""
        if not self.slots.acquire(timeout=0.1):
            self.late()

    @contextmanager
    def slot(self, request) -> Any:
        left = 10 if request.deadline is None else max(0, request.deadline - monotonic())
        if not self.slots.acquire(timeout=left):
            self.late()
        try:
            yield
        finally:
            self.slots.release()

    def steps(self, request) -> Any:
        """Yield the completion step by step."""
        self.check(request)
        self.texts(request)  # what is no text is refused before the first word
        said, words = "", self.words(request)
        for count, word in enumerate(words, 1):
            self.check_time(request)
            yield 0.0
            place = self.stopped(said + word, request.stop)
            if place is not None:
                yield TextDelta((said + word)[len(said) : place])
                yield self.whole(request, (said + word)[:place], count, "stop")
                return
            said += word
            yield TextDelta(word)
            if count >= request.max_tokens:
                reason = "end" if count == len(words) else "max_tokens"
                yield self.whole(request, said, count, reason)
                return
        yield self.whole(request, said, len(words), "end")

    def check(self, request) -> Any:
        """Raise as the prompt says."""
        if request.prompt.startswith("busy"):
            raise ModelError("the model is busy", retryable=True, retry_after=1.0)
        if request.prompt.startswith("wrong"):
            raise ModelError("the model refuses this key")
        self.check_time(request)

    def check_time(self, request):
        if request.deadline is not None and monotonic() >= request.deadline:
            self.late()

    def late(self):
        raise ModelError("no completion by the deadline", retryable=True)

    def words(self, request) -> Any:
        if request.prompt.startswith("endless"):
            return ["on "] * 10**6
        if request.prompt.startswith("slow"):
            return Hours()
        return re.findall(r"\S+\s*", request.prompt)

    def texts(self, request) -> Any:
        """Return the texts of the history. Raises ModelError."""
        return [message_text(message) for message in request.messages]

    def stopped(self, text, stops) -> Any:
        """Return the index at which the text has to end, or None; a stop text may span words."""
        return min((place for one in stops if (place := text.find(one)) >= 0), default=None)

    def whole(self, request, text, count, reason) -> Any:
        texts = [*self.texts(request), request.prompt]
        usage = Usage(input_tokens=len(" ".join(texts).split()), output_tokens=count)
        return Completion(text=text, usage=usage, stop_reason=reason)


class Hours:
    """Words with pauses."""

    def __len__(self):
        return 10**6

    def __iter__(self):
        while True:
            time.sleep(0.005)
            yield ""


class Plain(Sound):
    """A sound model whose streams and async methods are the defaults."""

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole

    acomplete = Model.acomplete
    stream = Model.stream
    astream = Model.astream
