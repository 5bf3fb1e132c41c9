"""Where an answer that is there already ends: at the first text of ``stop``, as any model's."""

from collections.abc import Iterable

from fibonacci.plugin.models import Completion


def up_to_stop(text: str, stop: Iterable[str]) -> Completion:
    """Return the text as an answer, up to the first place where a text of ``stop`` stands."""
    found = [place for one in stop if (place := text.find(one)) >= 0]
    if not found:
        return Completion(text=text, stop_reason="end")
    return Completion(text=text[: min(found)], stop_reason="stop")
