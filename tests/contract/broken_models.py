"""Models with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``test`` is the one that has to catch it.
"""

import asyncio
import os
import re
import threading
import time
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import attrs

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta, Usage

BROKEN = {}
SLOTS = 4
KEY = "sk-secret-0123456789"

ENDLESS = ModelRequest(prompt="endless: words and more words", max_tokens=10**6)
SLOW = ModelRequest(prompt="slow: a word in an hour")
BUSY = ModelRequest(prompt="busy: try it again later")
WRONG = ModelRequest(prompt="wrong: never try it again", system_prompt="You are never right.")


def broken(test):
    """Enter a model in the list."""

    def enter(model):
        model.test = test
        BROKEN[model.__name__] = model
        return model

    return enter


class Sound(Model):
    """Says the words of the prompt, one at a time; four answers may go on at once.

    How it answers is written once, as steps: a number is a wait in seconds, all else a piece.
    """

    accepts = frozenset({"temperature", "stop"})

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
        """Take a slot, or be late."""
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
        """The answer, step by step."""
        self.check(request)
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
        """Fail as the prompt says."""
        if request.prompt.startswith("busy"):
            raise ModelError("the model is busy", retryable=True, retry_after=1.0)
        if request.prompt.startswith("wrong"):
            raise ModelError("the model refuses this key")
        self.check_time(request)

    def check_time(self, request):
        if request.deadline is not None and monotonic() >= request.deadline:
            self.late()

    def late(self):
        raise ModelError("the answer did not come by the deadline", retryable=True)

    def words(self, request) -> Any:
        if request.prompt.startswith("endless"):
            return ["on "] * 10**6
        if request.prompt.startswith("slow"):
            return Hours()
        return re.findall(r"\S+\s*", request.prompt)

    def stopped(self, text, stops) -> Any:
        """Where the text has to end; each word is looked at with what was said before it."""
        return min((place for one in stops if (place := text.find(one)) >= 0), default=None)

    def whole(self, request, text, count, reason) -> Any:
        usage = Usage(input_tokens=len(request.prompt.split()), output_tokens=count)
        return Completion(text=text, usage=usage, stop_reason=reason)


class Hours:
    """Words that take their time."""

    def __len__(self):
        return 10**6

    def __iter__(self):
        while True:
            time.sleep(0.005)
            yield ""


class Plain(Sound):
    """A sound model whose streams and async voice are the defaults."""

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole

    acomplete = Model.acomplete
    stream = Model.stream
    astream = Model.astream


@broken("test_answer")
class ReturnsText(Plain):
    """The answer is text, and nothing beside it."""

    def complete(self, request) -> Any:
        return super().complete(request).text


@broken("test_answer")
class MakesUpReasons(Sound):
    """The reason is the service's own word."""

    def whole(self, request, text, count, reason) -> Any:
        return super().whole(request, text, count, "end_turn")


@broken("test_pieces")
class NoWhole(Sound):
    """A stream just ends."""

    def stream(self, request) -> Any:
        yield from (piece for piece in super().stream(request) if isinstance(piece, TextDelta))

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_pieces")
class WholeTwice(Sound):
    """A stream ends twice."""

    def steps(self, request) -> Any:
        for step in super().steps(request):
            yield step
            if isinstance(step, Completion):
                yield step


@broken("test_pieces")
class DropsBlanks(Sound):
    """The pieces of a stream are stripped."""

    def steps(self, request) -> Any:
        for step in super().steps(request):
            yield TextDelta(step.text.strip()) if isinstance(step, TextDelta) else step


@broken("test_pieces_are_the_answer")
class StripsTheAnswer(Sound):
    """What complete returns is stripped, what a stream yields is not."""

    def complete(self, request) -> Any:
        answer = super().complete(request)
        return attrs.evolve(answer, text=answer.text.rstrip(" .\n"))

    async def acomplete(self, request) -> Any:
        answer = await super().acomplete(request)
        return attrs.evolve(answer, text=answer.text.rstrip(" .\n"))


@broken("test_twins")
class ForgetsTheReason(Sound):
    """What is awaited has no reason why it ended."""

    async def acomplete(self, request) -> Any:
        return attrs.evolve(await super().acomplete(request), stop_reason=None)


@broken("test_nothing_is_kept")
class GoesOn(Sound):
    """What was said before is part of the next question."""

    before = ""

    def words(self, request) -> Any:
        if not request.prompt.startswith("Name"):
            return super().words(attrs.evolve(request, prompt=self.before + request.prompt))
        self.before = request.prompt
        return super().words(request)


@broken("test_usage")
class CountsBackwards(Sound):
    """Where nothing is known of tokens, it says -1."""

    def whole(self, request, text, count, reason) -> Any:
        return Completion(
            text=text, usage=Usage(input_tokens=-1, output_tokens=-1), stop_reason=reason
        )


@broken("test_closed_early")
class KeepsSlots(Sound):
    """Only a stream that was read to its end frees the model."""

    def stream(self, request) -> Any:
        self.take()
        for step in self.steps(request):
            if not isinstance(step, float):
                yield step
        self.slots.release()


@broken("test_closed_early")
class KeepsAsyncSlots(Sound):
    """Only a stream that was awaited to its end frees the model."""

    async def astream(self, request):
        self.take()
        for step in self.steps(request):
            await asyncio.sleep(0)
            if not isinstance(step, float):
                yield step
        self.slots.release()


@broken("test_closed_unused")
class AsksTooEarly(Sound):
    """A stream takes its slot when it is made, and lets go once it was begun."""

    def stream(self, request) -> Any:
        self.take()

        def pieces():
            try:
                yield from (one for one in self.steps(request) if not isinstance(one, float))
            finally:
                self.slots.release()

        return pieces()


@broken("test_broken_off")
class SwallowsAnything(Sound):
    """An exception within a stream is its end."""

    def stream(self, request) -> Any:
        with suppress(BaseException):
            yield from super().stream(request)


@broken("test_left_for_a_while")
class OneAtATime(Sound):
    """A stream that rests has the model to itself."""

    def __init__(self):
        self.slots = threading.BoundedSemaphore(1)

    def check_time(self, request):
        if request.deadline is not None and monotonic() >= request.deadline - 1.9:
            self.late()

    def slot(self, request) -> Any:
        return super().slot(attrs.evolve(request, deadline=monotonic() + 0.05))


@broken("test_by_turns")
class OneBuffer(Sound):
    """All streams collect their text in one place."""

    said = ""

    def steps(self, request) -> Any:
        self.said = ""
        for step in super().steps(request):
            if isinstance(step, TextDelta):
                self.said += step.text
            yield (attrs.evolve(step, text=self.said) if isinstance(step, Completion) else step)


@broken("test_cancelled")
class HoldsOn(Sound):
    """A call that is cancelled is not freed."""

    async def acomplete(self, request) -> Any:
        self.take()
        whole = None
        for step in self.steps(request):
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                whole = step
        self.slots.release()
        return whole


@broken("test_accepts")
class AcceptsAList(Sound):
    """The fields have names of the service's own."""

    accepts = frozenset({"temperature", "stop", "top_p"})


@broken("test_stop")
class IgnoresStop(Sound):
    """It says that it heeds stop, and does not."""

    def stopped(self, text, stops) -> Any:
        return None


@broken("test_stop")
class KeepsTheStop(Sound):
    """The text of stop is part of the answer."""

    def stopped(self, text, stops) -> Any:
        ends = [place + len(one) for one in stops if (place := text.find(one)) >= 0]
        return min(ends, default=None)


@broken("test_stop")
class OnlyTheFirst(Sound):
    """Of several texts of stop, only the first is heeded."""

    def stopped(self, text, stops) -> Any:
        return super().stopped(text, stops[:1])


@broken("test_stop_of_a_stream")
class StreamsPastTheStop(Sound):
    """A stream says the text of stop, and then ends as if it had not."""

    def stream(self, request) -> Any:
        plain = attrs.evolve(request, stop=())
        yield from (one for one in super().stream(plain) if isinstance(one, TextDelta))
        yield self.complete(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_max_tokens")
class SaysItAll(Sound):
    """It says all that it has to say, however many tokens it may."""

    def steps(self, request) -> Any:
        return super().steps(attrs.evolve(request, max_tokens=10**6))


@broken("test_max_tokens")
class CutsSilently(Sound):
    """An answer that was cut ends as if by itself."""

    def whole(self, request, text, count, reason) -> Any:
        return super().whole(request, text, count, "end" if reason == "max_tokens" else reason)


@broken("test_temperature")
class OnlyWarm(Sound):
    """A temperature of 0 is divided by."""

    def steps(self, request) -> Any:
        if request.temperature is not None:
            assert 1 / request.temperature
        return super().steps(request)


@broken("test_json")
class NeedsASchema(Sound):
    """JSON without a schema breaks it."""

    def steps(self, request) -> Any:
        if request.output_format == "json":
            assert request.output_schema["type"] == "object"
        return super().steps(request)


@broken("test_request_is_left_alone")
class ClosesSchemas(Sound):
    """It closes the schema, which is the caller's."""

    def steps(self, request) -> Any:
        if request.output_schema is not None:
            request.output_schema["additionalProperties"] = False
        return super().steps(request)


@broken("test_deadline")
class TakesItsTime(Sound):
    """It never looks at the clock."""

    def steps(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        return super().steps(request)


@broken("test_deadline_of_a_stream")
class StreamsOn(Sound):
    """A deadline holds for whole answers alone."""

    def stream(self, request) -> Any:
        if request.prompt.startswith("slow"):
            request = attrs.evolve(request, deadline=monotonic() + 1.2)
        yield from super().stream(request)

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_deadline")
class RaisesTimeoutError(Sound):
    """What is late is Python's error."""

    def late(self):
        raise TimeoutError


@broken("test_passed_deadline")
class TriesAtLeast(Sound):
    """A deadline that has passed counts as none."""

    def steps(self, request) -> Any:
        if request.deadline is not None and monotonic() >= request.deadline:
            request = attrs.evolve(request, deadline=monotonic() + 1.0)
        return super().steps(request)


@broken("test_kept_deadline")
class CutsByTheClock(Sound):
    """With a deadline, an answer is shorter."""

    def steps(self, request) -> Any:
        if request.deadline is not None:
            request = attrs.evolve(request, max_tokens=2)
        return super().steps(request)


@broken("test_after_the_deadline")
class DiesOfLateness(Sound):
    """After a late answer there is no other."""

    dead = False

    def late(self):
        self.dead = True
        super().late()

    def check(self, request) -> Any:
        if self.dead and not request.prompt.startswith("slow"):
            raise ModelError("there is no connection")
        super().check(request)


@broken("test_failure")
class RaisesItsDrivers(Sound):
    """A driver's exception comes through."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as fault:
            if "deadline" in str(fault):
                raise
            raise ConnectionError("status 429") from None


@broken("test_failure")
class NothingPasses(Sound):
    """No failure may pass."""

    def check(self, request) -> Any:
        try:
            super().check(request)
        except ModelError as fault:
            raise ModelError(str(fault)) from None


@broken("test_failure_of_a_stream")
class EndsQuietly(Sound):
    """A stream that fails is a stream that ends."""

    def stream(self, request) -> Any:
        try:
            yield from super().stream(request)
        except ModelError:
            yield Completion(text="")

    def complete(self, request) -> Any:
        *_, whole = super().stream(request)
        return whole


@broken("test_when_to_try_again")
class TellsADate(Sound):
    """When to try again is a moment in the past, as a clock went wrong."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError("busy", retryable=True, retry_after=-3.0)
        super().check(request)


@broken("test_nothing_is_quoted")
class QuotesThePrompt(Sound):
    """The error says what was asked."""

    def check(self, request) -> Any:
        if request.prompt.startswith("busy"):
            raise ModelError(f"busy, and so did not answer {request.prompt!r}", retryable=True)
        super().check(request)


@broken("test_nothing_is_quoted")
class QuotesTheKey(Sound):
    """What stands behind the error has the key in it."""

    def check(self, request) -> Any:
        if request.prompt.startswith("wrong"):
            try:
                raise PermissionError({"authorization": f"Bearer {KEY}"})
            except PermissionError:
                raise ModelError("the model refuses this key")  # noqa: B904
        super().check(request)


@broken("test_repr")
class ShowsItsKey(Sound):
    """Its repr is that of a dataclass."""

    def __repr__(self):
        return f"ShowsItsKey(key={KEY!r})"


@broken("test_after_a_failure")
class StaysDown(Sound):
    """After a failure there is no answer."""

    down = False

    def check(self, request) -> Any:
        if self.down and not request.prompt.startswith(("busy", "wrong")):
            raise ModelError("down")
        try:
            super().check(request)
        except ModelError:
            self.down = True
            raise


@broken("test_any_prompt")
class Formats(Sound):
    """The prompt is a format string once more."""

    def words(self, request) -> Any:
        return super().words(attrs.evolve(request, prompt=request.prompt % ()))


@broken("test_any_prompt")
class SpeaksUTF8(Sound):
    """What can't be encoded comes through as Python's error."""

    def words(self, request) -> Any:
        request.prompt.encode()
        return super().words(request)


@broken("test_any_system_prompt")
class NeedsASystemPrompt(Sound):
    """An empty system prompt has no first character."""

    def steps(self, request) -> Any:
        if request.system_prompt is not None:
            assert request.system_prompt[0]
        return super().steps(request)


@broken("test_long_prompt")
class CountsCharacters(Sound):
    """A long prompt is an assertion."""

    def steps(self, request) -> Any:
        assert len(request.prompt) < 10_000
        return super().steps(request)


@broken("test_many_at_once")
class OnePlace(Sound):
    """The question stands in one place for all."""

    def complete(self, request) -> Any:
        self.asked = request
        time.sleep(0.005)
        return super().complete(self.asked)


@broken("test_many_streams_at_once")
class OnePlaceForStreams(Sound):
    """The question of a stream stands in one place for all."""

    async def astream(self, request):
        self.asked = request
        await asyncio.sleep(0.005)
        async for piece in super().astream(self.asked):
            yield piece


@broken("test_event_loops_in_a_row")
class OneLoop(Sound):
    """It belongs to the first event loop that it meets."""

    loop = None

    async def acomplete(self, request) -> Any:
        self.loop = self.loop or asyncio.get_running_loop()
        await asyncio.wrap_future(self._now(), loop=self.loop)
        return await super().acomplete(request)

    def _now(self):
        from concurrent.futures import Future

        now = Future()
        now.set_result(None)
        return now


@broken("test_threads_with_event_loops")
class OneLoopAtATime(Sound):
    """Two event loops at the same time are one too many."""

    loops = ()

    async def acomplete(self, request) -> Any:
        loop = asyncio.get_running_loop()
        if any(other is not loop and other.is_running() for other in self.loops):
            raise RuntimeError("attached to a different loop")
        self.loops = (*self.loops, loop)
        await asyncio.sleep(0.01)
        return await super().acomplete(request)


@broken("test_child_and_parent")
class BornHere(Sound):
    """It answers the process that made it."""

    def __init__(self):
        super().__init__()
        self.pid = os.getpid()

    def check(self, request) -> Any:
        if os.getpid() != self.pid:
            raise ModelError("the connection is another process's")
        super().check(request)


@broken("test_fork_amid_a_stream")
class SharesItsConnection(Sound):
    """Parent and child read their answers from one connection."""

    connection = None

    def words(self, request) -> Any:
        words = super().words(request)
        if len(words) > 100:
            return words
        self.connection = self.connection or os.pipe()
        reading, writing = self.connection
        for word in words:
            os.write(writing, word.encode().ljust(20))
        return Received(reading, len(words))


class Received:
    """Words that are read when they are asked for."""

    def __init__(self, reading, count):
        self.reading, self.count = reading, count

    def __len__(self):
        return self.count

    def __iter__(self):
        for _ in range(self.count):
            yield os.read(self.reading, 20).decode().rstrip() + " "
