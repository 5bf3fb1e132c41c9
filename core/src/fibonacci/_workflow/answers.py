"""Reading a model's answer as JSON."""

import re
from typing import Any, Final

from fibonacci._memory import exact
from fibonacci.errors import ModelError

# Models like to put JSON into a fenced block, whatever they were told.
_FENCED: Final = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL | re.IGNORECASE)


def read_json(text: str) -> Any:
    """Return the value that an answer holds, alone or as its only fenced block.

    Raises ModelError, which another attempt may mend.
    """
    bare = text.strip()
    fenced = _FENCED.fullmatch(bare)
    try:
        return exact.decode((fenced[1] if fenced else bare).encode())
    except (ValueError, RecursionError):
        pass  # their errors hold the answer: not even as a context may it be kept
    raise ModelError(
        "the answer is not JSON. Ask for nothing but JSON in the prompt, or raise max_tokens",
        retryable=True,
    )
