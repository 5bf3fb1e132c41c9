"""Where a completion ends: before the first text of ``stop``."""

from collections.abc import Iterable

from fibonacci.plugin.models import Completion


def truncate_at_stop(text: str, stop: Iterable[str]) -> Completion:
    """Return the text as a completion that ends before the first text of ``stop`` in it."""
    found = [start for sequence in stop if (start := text.find(sequence)) >= 0]
    if not found:
        return Completion(text=text, stop_reason="end")
    return Completion(text=text[: min(found)], stop_reason="stop")
