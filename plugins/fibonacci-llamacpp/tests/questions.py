"""Questions to the shallow model whose answers are known in form, on any machine."""

from typing import Final

from fibonacci.plugin import ModelRequest

SAID: Final = ModelRequest(
    prompt="Tell me about the sea.",
    max_tokens=24,
    output_format="json",
    output_schema={"const": "The sea is wide."},
)
"""Its answer is this sentence, in quotes, as the model may say nothing else."""

TOKENS: Final = 12
SHORT: Final = ModelRequest(prompt=SAID.prompt, max_tokens=TOKENS)
"""Its answer is cut after so many tokens."""

ENDLESS: Final = ModelRequest(prompt="Count.", max_tokens=4000)
"""Its answer takes ten seconds or more."""
