"""From the events of a stream to an answer (the API's "Streaming messages").

Kinds of events, blocks and deltas that are not known are left out, as the API asks of its clients;
so are thoughts and uses of tools: the answer is the text.
"""

from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Usage

STOP_REASONS: Final[dict[str, Any]] = {
    "end_turn": "end",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "stop_sequence": "stop",
}

INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""What the API counts apart, and adds up to what it read."""


class Answer:
    """An answer that grows."""

    def __init__(self) -> None:
        self.is_whole = False
        self._pieces: list[str] = []
        self._usage: dict[str, int] = {}
        self._stop_reason: str | None = None

    def take(self, event: Any) -> str:
        """Add an event; return the text that it brings, or ""."""
        match event:
            case {
                "type": "content_block_delta",
                "delta": {"type": "text_delta", "text": str(text)},
            }:
                return self._add(text)
            case {
                "type": "content_block_start",
                "content_block": {"type": "text", "text": str(text)},
            }:
                return self._add(text)
            case {"type": "message_start", "message": {"usage": dict(usage)}}:
                self._count(usage)
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)}, **rest}:
                self._stop_reason = reason
                self._refuse(event["delta"])
                self._count(rest.get("usage"))
            case {"type": "message_stop"} if self._stop_reason is not None:
                self.is_whole = True
        return ""

    def _add(self, text: str) -> str:
        self._pieces.append(text)
        return text

    def _count(self, usage: Any) -> None:
        """Keep the latest counts: each is of the whole answer so far."""
        if isinstance(usage, dict):
            self._usage |= {name: n for name, n in usage.items() if type(n) is int}

    def _refuse(self, delta: dict[str, Any]) -> None:
        if self._stop_reason == "refusal":
            details = delta.get("stop_details")
            category = details.get("category") if isinstance(details, dict) else None
            why = f" ({category})" if category in CATEGORIES else ""
            raise ModelError(
                f"anthropic: the model refused to go on{why}; what it said so far is dropped. "
                "Change the prompt, or the history in it"
            )

    def completion(self) -> Completion:
        """Return the whole."""
        return Completion(
            text="".join(self._pieces),
            usage=Usage(
                input_tokens=sum(self._usage.get(name, 0) for name in INPUT),
                output_tokens=self._usage.get("output_tokens", 0),
            ),
            stop_reason=STOP_REASONS.get(self._stop_reason or ""),
        )


CATEGORIES: Final = frozenset(
    ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")
)
"""Why the API refuses. Words of its own, and so never of a prompt."""
