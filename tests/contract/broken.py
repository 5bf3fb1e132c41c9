"""Stores with one defect each, most of them seen in released software.

The docstring says what is wrong; ``clause`` is the one that has to catch it.
"""

import asyncio
import math
import os
import threading
import time
import unicodedata

from minimal import MinimalAsyncStore, MinimalStore

from fibonacci.plugin import ABSENT, KEEP, Address, Page

BROKEN = {}


def broken(clause):
    """Enter a store in the list."""

    def enter(store):
        store.clause = clause
        BROKEN[store.__name__] = store
        return store

    return enter


# Expiry


@broken("C12")
class ReturnsExpired(MinimalStore):
    """An expired record is returned until somebody sweeps it."""

    def read(self, address, *, deadline):
        record = self.records.get(self.place(address))
        return record[0] if record else None


@broken("C12")
class ListsExpired(MinimalStore):
    """An expired record is listed."""

    def inside(self, space):
        return {one[2].key: one for one in list(self.records.values()) if one[2].space == space}


@broken("C12")
class ExpiredExists(MinimalStore):
    """An expired record exists."""

    def exists(self, address, *, deadline):
        return self.place(address) in self.records


@broken("C12")
class RemovesExpired(MinimalStore):
    """Removing an expired record says True."""

    def remove(self, address, *, deadline):
        return self.records.pop(self.place(address), None) is not None


@broken("C12")
class AddsNotOverExpired(MinimalStore):
    """A compare-and-set takes an expired record for a live one."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found, expires, _ = self.records.get(self.place(address), (ABSENT, math.inf, None))
            if found != expected:
                return False
            self.put(address, data, expires if ttl_ms is KEEP else self.expiry(ttl_ms))
            return True


@broken("C12")
class KeepsExpiredExpiry(MinimalStore):
    """KEEP on creation keeps the expiry of the record that expired there."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            record = self.records.get(self.place(address))
            if ttl_ms is KEEP and expected is ABSENT and record and not self.found(address):
                self.put(address, data, record[1])
                return True
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C13")
class KeepDropsExpiry(MinimalStore):
    """KEEP makes the record live for ever."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        ttl_ms = None if ttl_ms is KEEP else ttl_ms
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C13")
class WriteKeepsExpiry(MinimalStore):
    """A write without a ttl keeps the old expiry, as an SQL upsert does that forgets a column."""

    def write(self, address, data, ttl_ms, *, deadline):
        with self.lock:
            record = self.found(address)
            expires = record[1] if record and ttl_ms is None else self.expiry(ttl_ms)
            self.put(address, data, expires)


@broken("C11")
class WholeSecondsUp(MinimalStore):
    """A ttl is rounded up to whole seconds."""

    def expiry(self, ttl_ms):
        return super().expiry(ttl_ms and math.ceil(ttl_ms / 1000) * 1000)


@broken("C11")
class WholeSecondsDown(MinimalStore):
    """A ttl is cut to whole seconds."""

    def expiry(self, ttl_ms):
        return super().expiry(ttl_ms and ttl_ms // 1000 * 1000)


@broken("C11")
class SecondsTakenForMilliseconds(MinimalStore):
    """The remaining time is told in seconds."""

    def remaining(self, address, *, deadline):
        left = super().remaining(address, deadline=deadline)
        return left // 1000 if isinstance(left, int) else left


@broken("C13")
class RefreshesOnRead(MinimalStore):
    """Each read gives the record its whole life again."""

    def put(self, address, data, expires):
        super().put(address, data, expires)
        self.records[self.place(address)] += (expires - self.now(),)

    def read(self, address, *, deadline):
        record = self.found(address)
        if record:
            self.put(address, record[0], self.now() + record[3])
        return record and record[0]

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found = (self.found(address) or (ABSENT,))[0]
            if found != expected:
                return False
            kept = self.found(address)[1] if found is not ABSENT else math.inf
            self.put(address, data, kept if ttl_ms is KEEP else self.expiry(ttl_ms))
            return True

    def remaining(self, address, *, deadline):
        record = self.found(address)
        if record is None:
            return ABSENT
        return None if record[1] == math.inf else math.ceil((record[1] - self.now()) * 1000)


@broken("C12")
class TouchResurrects(MinimalStore):
    """Touching an expired record brings it back."""

    def touch(self, address, ttl_ms, *, deadline):
        with self.lock:
            record = self.records.get(self.place(address))
            if record:
                self.put(address, record[0], self.expiry(ttl_ms))
            return record is not None


@broken("C16")
class TouchWritesBack(MinimalStore):
    """Touching reads the record and writes it back, and so takes changes back."""

    def touch(self, address, ttl_ms, *, deadline):
        data = self.read(address, deadline=deadline)
        time.sleep(0.001)
        if data is not None:
            self.write(address, data, ttl_ms, deadline=deadline)
        return data is not None


@broken("C13")
class TouchChangesBytes(MinimalStore):
    """Touching writes the value anew, in another form."""

    def touch(self, address, ttl_ms, *, deadline):
        data = self.read(address, deadline=deadline)
        return data is not None and self.compare_and_set(
            address, data, data.strip() + b" ", ttl_ms, deadline=deadline
        )


# Atomicity


@broken("C16")
class NotAtomic(MinimalStore):
    """Compare-and-set reads, compares, and then writes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        record = self.found(address) or (ABSENT, math.inf, None)
        if record[0] != expected:
            return False
        time.sleep(0.0005)
        self.put(address, data, record[1] if ttl_ms is KEEP else self.expiry(ttl_ms))
        return True


@broken("C16")
class ComparesAlways(MinimalStore):
    """Compare-and-set writes if there is a record, whatever its bytes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if expected is not ABSENT:
                expected = (self.found(address) or (expected,))[0]
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C16")
class EmptyIsAbsent(MinimalStore):
    """Empty bytes are taken for no record."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if not (self.found(address) or (b"",))[0] and expected in (b"", ABSENT):
                self.put(address, data, self.expiry(None if ttl_ms is KEEP else ttl_ms))
                return True
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C16")
class TriesTwice(MinimalStore):
    """A compare-and-set is sent a second time after the answer to the first was lost."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


# Listings


@broken("C14")
class ListsAThousand(MinimalStore):
    """The first page is taken for the listing."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(page.keys, None)


@broken("C14")
class ListsUnsorted(MinimalStore):
    """Keys are listed in the order of their writing."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = [key for key in self.inside(space) if key.startswith(prefix)]
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("C14")
class ListsByUTF16(MinimalStore):
    """Keys are sorted by UTF-16 code units."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        def units(key):
            return key.encode("utf-16-be")

        keys = sorted((key for key in self.inside(space) if key.startswith(prefix)), key=units)
        rest = [key for key in keys if cursor is None or units(key) > units(cursor)]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("C14")
class ListsTwice(MinimalStore):
    """The last key of a page is the first of the next one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(
            [cursor, *page.keys][:limit] if cursor and limit > 1 else page.keys, page.cursor
        )


@broken("C14")
class PagesByNumber(MinimalStore):
    """A cursor counts records, and skips some when listed ones go meanwhile."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = sorted(key for key in self.inside(space) if key.startswith(prefix))
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("C15")
class PrefixIsAPattern(MinimalStore):
    """A scan hands its prefix to SQL's LIKE."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        import re

        pattern = re.escape(prefix).replace("%", ".*").replace("_", ".")
        keys = sorted(key for key in self.inside(space) if re.match(pattern, key, re.DOTALL))
        rest = [key for key in keys if cursor is None or key > cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("C15")
class PrefixIsIgnoredAtPages(MinimalStore):
    """A scan applies its prefix after it counted the page, and ends at an empty one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, cursor=cursor, limit=limit, deadline=deadline)
        keys = [key for key in page.keys if key.startswith(prefix)]
        return Page(keys, page.cursor if keys else None)


# Addresses


@broken("C2")
class FoldsCase(MinimalStore):
    """Keys are compared without regard to case."""

    def place(self, address):
        return Address(address.space, address.key.lower())


@broken("C2")
class Normalises(MinimalStore):
    """Keys are brought to NFC."""

    def place(self, address):
        return Address(address.space, unicodedata.normalize("NFC", address.key))


@broken("C2")
class Trims(MinimalStore):
    """Spaces at the end of a key are trimmed."""

    def place(self, address):
        return Address(address.space, address.key.rstrip(" "))


@broken("C1")
class JoinsWithColons(MinimalStore):
    """Owner and key are joined by a colon that both may contain."""

    def place(self, address):
        prefix, scope, owner = address.space
        return f"{prefix}{scope}:{owner}:{address.key}"


@broken("C1")
class ForgetsTheScope(MinimalStore):
    """Scopes share what they hold for equal owners."""

    def place(self, address):
        prefix, _, owner = address.space
        return (prefix, owner, address.key)


@broken("C3")
class CutsLongKeys(MinimalStore):
    """Keys are cut at 255 characters, as a column may do."""

    def place(self, address):
        return Address(address.space, address.key[:255])


# Clearing


@broken("C6")
class ClearsSiblings(MinimalStore):
    """Clearing takes every owner whose name starts alike."""

    def clear(self, space, *, cursor=None, deadline):
        for record in list(self.records.values()):
            prefix, scope, owner = record[2].space
            if (prefix, scope) == space[:2] and owner.startswith(space.owner):
                self.remove(record[2], deadline=deadline)


@broken("C6")
class ClearsEverything(MinimalStore):
    """Clearing flushes the database."""

    def clear(self, space, *, cursor=None, deadline):
        self.records.clear()


@broken("C6")
class ClearsOnePage(MinimalStore):
    """Clearing stops behind the first thousand records."""

    def clear(self, space, *, cursor=None, deadline):
        super().clear(space, cursor=cursor, deadline=deadline)


# Batches


@broken("C14")
class ReadsManyInItsOwnOrder(MinimalStore):
    """A batch answers in the order of the store, not of the question."""

    def read_many(self, addresses, *, deadline):
        return super().read_many(sorted(addresses), deadline=deadline)


@broken("C14")
class ReadsManyDropsAbsent(MinimalStore):
    """A batch leaves out what it did not find."""

    def read_many(self, addresses, *, deadline):
        found = super().read_many(addresses, deadline=deadline)
        live = [data for data in found if data is not None]
        return live + [None] * (len(found) - len(live))


@broken("C13")
class WritesManyForEver(MinimalStore):
    """A batch ignores its ttl."""

    def write_many(self, items, ttl_ms, *, deadline):
        super().write_many(items, None, deadline=deadline)


@broken("C14")
class CountsAllRemoved(MinimalStore):
    """A batch counts what it was asked to remove."""

    def remove_many(self, addresses, *, deadline):
        super().remove_many(addresses, deadline=deadline)
        return len(addresses)


@broken("C17")
class WritesManyInHalves(MinimalStore):
    """A batch writes half of each record, and then the rest."""

    def write_many(self, items, ttl_ms, *, deadline):
        for address, data in items:
            self.write(address, data[: len(data) // 2], ttl_ms, deadline=deadline)
            time.sleep(0.0002)
            self.write(address, data, ttl_ms, deadline=deadline)


# Values and faults


@broken("C7")
class StripsBytes(MinimalStore):
    """Records are stored as text, and lose what is not."""

    def write(self, address, data, ttl_ms, *, deadline):
        data = data.decode(errors="replace").encode()
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("C7")
class ReturnsABuffer(MinimalStore):
    """Reads return the store's own buffer, which others may change."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data is None else bytearray(data)


@broken("C8")
class SwallowsCorruption(MinimalStore):
    """Bytes that are no JSON are told as absent."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data and data[:1] in b' "-0123456789[{tfn' and data[1:2] != b"o" else None


@broken("C18")
class SwallowsFaults(MinimalStore):
    """A request that timed out is told as absent."""

    def read(self, address, *, deadline):
        try:
            if time.monotonic() > deadline:
                raise TimeoutError
            return super().read(address, deadline=deadline)
        except TimeoutError:
            return None


@broken("C18")
class LeaksTimeouts(MinimalStore):
    """A request that timed out raises the driver's own error."""

    def read(self, address, *, deadline):
        if time.monotonic() > deadline:
            raise TimeoutError
        return super().read(address, deadline=deadline)


@broken("C18")
class DeniesWrites(MinimalStore):
    """A write that was applied is told as surely not applied."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data, ttl_ms, deadline=deadline)
        if time.monotonic() > deadline:
            from fibonacci.errors import BackendUnavailableError

            raise BackendUnavailableError("too late")


@broken("C10")
class CutsLargeValues(MinimalStore):
    """Values are cut at a mebibyte."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data[: 2**20], ttl_ms, deadline=deadline)


@broken("C25")
class KeepsOnlyPlain(MinimalStore):
    """Sealed records are neither listed nor removed."""

    def inside(self, space):
        return {
            key: record for key, record in super().inside(space).items() if record[0][:1] < b"\x80"
        }


# Threads, forks, event loops, life


@broken("C21")
class MixesThreads(MinimalStore):
    """Calls share one buffer, and so get each other's answers."""

    asked = None

    def read(self, address, *, deadline):
        self.asked = address
        time.sleep(0.0001)
        return super().read(self.asked, deadline=deadline)


@broken("C21")
class OneThreadOnly(MinimalStore):
    """Only the thread that made the store may use it."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def read(self, address, *, deadline):
        if threading.get_ident() != self.thread:
            raise RuntimeError("created in another thread")
        return super().read(address, deadline=deadline)


@broken("C21")
class DiesAfterFork(MinimalStore):
    """A child goes on with the parent's connection, and hangs up on it."""

    def __init__(self):
        super().__init__()
        self.process = os.getpid()

    def read(self, address, *, deadline):
        if os.getpid() != self.process:
            raise ConnectionResetError
        return super().read(address, deadline=deadline)


@broken("C19")
class AnswersTheLastQuestion(MinimalStore):
    """A call that is broken off leaves its answer for the next one."""

    def __init__(self):
        super().__init__()
        self.left = threading.local()

    def read(self, address, *, deadline):
        if getattr(self.left, "answer", None):
            answer, self.left.answer = self.left.answer, None
            return answer
        self.left.answer = super().read(address, deadline=deadline)
        time.sleep(0.0005)  # the network
        answer, self.left.answer = self.left.answer, None
        return answer


@broken("C22")
class ForgetsWhenClosed(MinimalStore):
    """Closing takes the records along."""

    def close(self):
        self.records.clear()


class OneLoopOnly(MinimalAsyncStore):
    """The first event loop is the only one that the store serves."""

    clause = "C21"

    async def read(self, address, *, deadline):
        loop = asyncio.get_running_loop()
        if self.store.__dict__.setdefault("loop", loop) is not loop:
            raise RuntimeError("Event loop is closed")
        return await super().read(address, deadline=deadline)


class LosesCancelled(MinimalAsyncStore):
    """A cancelled call leaves its answer for the next one."""

    clause = "C19"
    answer = None

    async def read(self, address, *, deadline):
        if self.answer:
            answer, self.answer = self.answer, None
            return answer
        self.answer = self.store.read(address, deadline=deadline)
        await asyncio.sleep(0)
        answer, self.answer = self.answer, None
        return answer


class AwaitedNotAtomic(MinimalAsyncStore):
    """Compare-and-set gives way between the comparison and the write."""

    clause = "C16"

    async def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        found = self.store.read(address, deadline=deadline)
        if (ABSENT if found is None else found) != expected:
            return False
        await asyncio.sleep(0)
        found = self.store.read(address, deadline=deadline)
        expected = ABSENT if found is None else found
        return self.store.compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


BROKEN_ASYNC = {one.__name__: one for one in (OneLoopOnly, LosesCancelled, AwaitedNotAtomic)}
