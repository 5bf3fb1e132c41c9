"""Requests to the shallow model whose completions have a known form, on any machine."""

from typing import Final

from fibonacci.plugin import ModelRequest

SENTENCE: Final = ModelRequest(
    prompt="Tell me about the sea.",
    max_tokens=24,
    output_format="json",
    output_schema={"const": "The sea is wide."},
)
"""Its completion is this sentence in quotes, the only output that the schema allows."""

TOKENS: Final = 12
SHORT: Final = ModelRequest(prompt=SENTENCE.prompt, max_tokens=TOKENS)
"""Its completion ends after TOKENS tokens."""

ENDLESS: Final = ModelRequest(prompt="Count.", max_tokens=4000)
"""Its completion takes ten seconds or more."""
