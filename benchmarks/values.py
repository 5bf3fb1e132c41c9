"""The values that are stored: a small dict, and chats of two sizes."""

import random
from typing import Any

_TEXT = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them these so some her would make like him"
)


def chat(messages: int, words: int) -> list[dict[str, Any]]:
    """Return a chat's history, the same at each call."""
    chance, text = random.Random(1), _TEXT.split()
    return [
        {
            "role": "assistant" if number % 2 else "user",
            "content": " ".join(chance.choice(text) for _ in range(words)),
        }
        for number in range(messages)
    ]


VALUES: dict[str, Any] = {
    "90 B": {"theme": "dark", "language": "en", "score": 12.5, "tags": ["a", "b"], "beta": True},
    "2 KB": chat(messages=20, words=14),
    "64 KB": chat(messages=200, words=75),
}
