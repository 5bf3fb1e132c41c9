"""Models with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``test`` is the one that has to catch it.
"""

from broken_models import (
    completions,
    deadlines,
    failures,
    messages,
    options,
    prompts,
    sharing,
    streams,
)
from broken_models.sound import BROKEN, BUSY, ENDLESS, KEY, SLOW, WRONG, Plain, Sound

__all__ = [
    "BROKEN",
    "BUSY",
    "ENDLESS",
    "KEY",
    "SLOW",
    "WRONG",
    "Plain",
    "Sound",
    "completions",
    "deadlines",
    "failures",
    "messages",
    "options",
    "prompts",
    "sharing",
    "streams",
]
