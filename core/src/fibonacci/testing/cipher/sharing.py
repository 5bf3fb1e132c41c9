"""Sharing: one cipher for all threads, and one for each of two processes after a fork."""

import os
from collections.abc import Callable
from threading import Event, Thread

import pytest

from fibonacci.plugin import Cipher
from fibonacci.testing.cipher.fixtures import AAD, PLAIN, ContractFixtures
from fibonacci.testing.forks import NO_FORK, forked
from fibonacci.testing.threads import run_concurrently

THREADS = 8
TIMES = 100

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason=NO_FORK)


class SharingTests(ContractFixtures):
    """C21."""

    def test_threads(self, box: Cipher) -> None:
        """Concurrent threads seal and open their own values, and all records differ (C21, C24)."""
        sealed: list[list[bytes]] = [[] for _ in range(THREADS)]

        def work(number: int) -> Callable[[], None]:
            def seal_and_open() -> None:
                own = b"%d" % number * 100
                for _ in range(TIMES):
                    sealed[number].append(box.seal(own, own))
                    assert box.open(sealed[number][-1], own) == own
                    sealed[number].append(box.seal(PLAIN, AAD))

            return seal_and_open

        run_concurrently([work(number) for number in range(THREADS)])
        assert len({record for own in sealed for record in own}) == 2 * THREADS * TIMES

    @forks
    def test_child_seals_differently(self, box: Cipher) -> None:
        """Child and parent seal differently after a fork, and both open all records (C21)."""
        before = box.seal(PLAIN, AAD)
        reading, writing = os.pipe()

        def child() -> None:
            assert box.open(before, AAD) == PLAIN
            with os.fdopen(writing, "wb") as pipe:
                pipe.writelines(box.seal(PLAIN, AAD) for _ in range(20))

        with forked(child, self.fork_timeout):
            own = [box.seal(PLAIN, AAD) for _ in range(20)]
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            whole = pipe.read()
        size = len(before)
        theirs = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert len({before, *own, *theirs}) == 41
        assert {box.open(sealed, AAD) for sealed in theirs} == {PLAIN}

    @forks
    def test_fork_while_sealing(self, box: Cipher) -> None:
        """A child that is forked while other threads seal can seal and open at once (C21)."""
        enough = Event()

        def seal() -> None:
            while not enough.is_set():
                box.open(box.seal(PLAIN, AAD), AAD)

        def child() -> None:
            assert box.open(box.seal(PLAIN, AAD), AAD) == PLAIN
            assert self.cipher_of(self.keys[0]).open(box.seal(PLAIN, AAD), AAD) == PLAIN

        sealers = [Thread(target=seal) for _ in range(2)]
        for sealer in sealers:
            sealer.start()
        try:
            for _ in range(5):
                with forked(child, self.fork_timeout):
                    pass
        finally:
            enough.set()
            for sealer in sealers:
                sealer.join()
