"""How often a plain record was read where all should be sealed: counted always, logged once."""

from collections import Counter
from threading import get_ident


class PlaintextReads:
    """A count that many threads add to. A lock would have to survive forks; nothing is shared."""

    def __init__(self) -> None:
        """Start at nought."""
        self._by_thread: Counter[int] = Counter()
        self._first = iter([True])

    @property
    def total(self) -> int:
        """All threads' counts together."""
        return sum(list(self._by_thread.values()))

    def count(self) -> None:
        """Add one; at the first, warn. No key, user or value is in the log."""
        self._by_thread[get_ident()] += 1
        if next(self._first, False):
            import logging  # few programs come here

            logging.getLogger("fibonacci").warning(
                "a plain record was read where all should be sealed, as plaintext_reads is "
                '"allow"; further ones are counted, not logged: see '
                "memory.plaintext_read_count. memory.rewrap() seals them"
            )
