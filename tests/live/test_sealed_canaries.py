"""No value and no key leaks into the store, a log, a repr or an error (C23, C24)."""

import asyncio
import logging
import traceback
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from inside import INSIDES

from fibonacci import (
    FibonacciError,
    LLMNode,
    MemoryConfig,
    MemoryManager,
    Workflow,
    generate_key,
)
from fibonacci.plugin import Address, Space

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("sqlite", "redis", "postgres", "dynamodb")

VALUE = "canary of 31 characters, 3f9a77"
KEY, SECOND = generate_key(), generate_key()


def encoded(secret: bytes) -> Iterator[bytes]:
    """Yield a secret as it is, in hex, and in base64 at any offset of a longer text."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield repr(secret)[2:-1].encode()
    yield secret.decode("latin-1").encode("utf-16-le")
    for before in range(3):
        whole = b64encode(bytes(before) + secret)
        inner = whole[4 if before else 0 : len(whole) - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def needles() -> list[bytes]:
    """Return the value and the keys: as text, and as the bytes that they encode."""
    secrets = [VALUE.encode()]
    for key in (KEY, SECOND):
        secrets += [key.encode(), key.rstrip("=").encode(), urlsafe_b64decode(key)]
    return list(dict.fromkeys(needle for secret in secrets for needle in encoded(secret)))


def error_text(error: BaseException) -> str:
    """Return all that a handler or a log could print of an error."""
    texts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


@contextmanager
def unlogged() -> Iterator[None]:
    """Disable the raw driver's logger: it is not ours, and logs what it sends."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Loud:
    """A memory that is used in every way, and all that it printed or logged."""

    def __init__(
        self, backend_and_url: tuple[str, str], caplog: pytest.LogCaptureFixture, **sealing: Any
    ):
        self.name, self.url = backend_and_url
        self.caplog = caplog
        self.config = MemoryConfig(self.name, self.url, timeout=20, **sealing)
        self.errors: list[str] = []
        caplog.set_level(logging.DEBUG)

    def use(self) -> dict[str, bytes]:
        """Call all verbs, rightly and wrongly; return what was printed or raised, by kind."""
        with Workflow("w", self.config) as workflow:
            memory = workflow.memory
            self.write(memory)
            asyncio.run(self.use_async())
            workflow.add_node(LLMNode("n", "echo", "{{input.text}}", memory_write="answer"))
            workflow.execute({"text": VALUE})
            with unlogged():
                inside = INSIDES[self.name](self.url)
                dump = inside.dump()
            self.fail(inside)
            with unlogged():
                dump += inside.dump()
                inside.close()
            reprs = self.reprs(workflow)
        return {
            "store": dump,
            "logs": self.caplog.text.encode(),
            "reprs": reprs.encode(),
            "errors": "\n".join(self.errors).encode(),
        }

    def write(self, memory: MemoryManager) -> None:
        memory.set("k", {"secret": VALUE, VALUE: 1})
        memory.set("user's", VALUE, scope="user", user_id="u", ttl=600)
        memory.append("turns", VALUE, VALUE, max_items=3)
        memory.update("k", lambda found: {**found, "more": [VALUE]})
        memory.set_many({f"k{number}": [VALUE, number] for number in range(5)})
        memory.add("added", VALUE)
        memory.get_many(memory.list_keys())

    async def use_async(self) -> None:
        memory = Workflow("async", self.config).memory
        await memory.aset("async", VALUE)
        await memory.aappend("turns", VALUE)
        await memory.aget("async")
        await memory.aclose()

    def fail(self, inside: Any) -> None:
        address = Address(Space("fibonacci:", "workflow", "w"), "k")
        with unlogged():
            sealed = inside.read(address)
        with Workflow("w", self.config) as workflow:
            memory = workflow.memory
            self.raises(memory.append, "k", VALUE)
            self.raises(memory.increment, "turns")
            self.raises(memory.set, "k", [VALUE, float("nan")])
            self.raises(memory.set, "k", {VALUE.encode(): VALUE})
            self.raises(memory.set, "k", VALUE * 600_000)
            for data in (sealed[:-1], b"\x80" + sealed, b"\xf1" * 200, b"[1", b""):
                with unlogged():
                    inside.replace({address: data})
                self.raises(memory.get, "k")
            with unlogged():
                inside.replace({address: sealed})
        with Workflow("w", MemoryConfig(self.name, self.url, timeout=20)) as other:
            if self.config.encrypt_values:
                self.raises(other.memory.get, "k")

    def raises(self, verb: Any, *args: Any) -> None:
        with pytest.raises(FibonacciError) as caught:
            verb(*args)
        # The lines of this file quote no value; those of the library might.
        self.errors.append(error_text(caught.value))

    def reprs(self, workflow: Workflow) -> str:
        memory = workflow.memory
        parts = [workflow, memory, memory.for_user("u"), self.config, memory._context]
        serializer = memory._context.serializer
        parts += [serializer, getattr(serializer, "_cipher", None), memory._handle]
        return "\n".join(f"{part!r} {part}" for part in parts)


def hits(shown: dict[str, bytes], wanted: list[bytes]) -> list[tuple[str, bytes]]:
    return [(kind, needle) for kind, text in shown.items() for needle in wanted if needle in text]


def test_secrets_are_found_nowhere(
    backend_and_url: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Over 100 probes of what is stored, logged and printed find no value or key (C23, C24)."""
    loud = Loud(backend_and_url, caplog, encrypt_values=True, encryption_key=[KEY, SECOND])
    shown, wanted = loud.use(), needles()
    assert all(text for kind, text in shown.items() if kind != "logs")  # some drivers log nothing
    assert len(shown) * len(wanted) >= 100
    assert hits(shown, wanted) == []


def test_the_probes_find_a_plain_value(
    backend_and_url: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Without encryption the probes find the value in the store, and nowhere else (C23)."""
    shown = Loud(backend_and_url, caplog).use()
    assert ("store", VALUE.encode()) in hits(shown, needles())
    assert {kind for kind, _ in hits(shown, needles())} == {"store"}
