"""SmolLM2 with one of its thirty layers: fast, and never ending by itself.

Most tests are about the form and the timing of a completion. Its words may be noise, which takes a
tenth of the work. No marker is ever the most likely token, nor is the one that ends a completion;
so a completion has max_tokens tokens, on any machine, unless a schema ends it.
"""

import struct
from pathlib import Path
from typing import Any, Final

LAYERS: Final = 1

NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
TEXT: Final = 8
LIST: Final = 9
ALIGNED: Final = 32

MARKERS: Final = 17
"""The number of tokens that are not text, which are the first ones."""
ROW: Final = 576 // 32 * 34
"""Bytes of a token's row in the first tensor, which is used for the input and the output."""


class Reader:
    """Reads a GGUF file from its start."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = len(b"GGUF")

    def number(self, kind: str) -> Any:
        (number,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(f"<{kind}")
        return number

    def text(self) -> bytes:
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size : self.at]

    def skip(self, kind: int) -> None:
        """Skip a value."""
        if kind == TEXT:
            self.text()
        elif kind == LIST:
            inside, size = self.number("I"), self.number("Q")
            for _ in range(size):
                self.skip(inside)
        else:
            self.number(NUMBERS[kind])


def shallow_model(weights: Path) -> bytes:
    """Return the file's content with the first LAYERS layers only."""
    read = Reader(weights.read_bytes())
    version, tensors, settings = (read.number(kind) for kind in "IQQ")
    changed = bytearray()
    for _ in range(settings):
        begin, name, kind = read.at, read.text(), read.number("I")
        if name == b"llama.block_count":
            changed += read.data[begin : read.at] + struct.pack("<I", LAYERS)
        read.skip(kind)
        if name != b"llama.block_count":
            changed += read.data[begin : read.at]
    found = [_tensor(read) for _ in range(tensors)]
    start = _aligned(read.at)
    ends = [*(offset for _, _, offset in found[1:]), len(read.data) - start]
    infos, body, count = bytearray(), bytearray(), 0
    for (name, shape, offset), end in zip(found, ends, strict=True):
        if name.startswith(b"blk.") and int(name.split(b".")[1]) >= LAYERS:
            continue
        infos += shape + struct.pack("<Q", len(body))
        body += read.data[start + offset : start + end]
        count += 1
    body[: MARKERS * ROW] = bytes(MARKERS * ROW)
    head = b"GGUF" + struct.pack("<IQQ", version, count, settings) + changed + infos
    return head.ljust(_aligned(len(head)), b"\0") + body


def _tensor(read: Reader) -> tuple[bytes, bytes, int]:
    """Return the next tensor's name, the bytes with its shape, and the offset of its data."""
    begin, name = read.at, read.text()
    for _ in range(read.number("I")):
        read.number("Q")
    read.number("I")
    return name, read.data[begin : read.at], read.number("Q")


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED
