"""What is said of a model that will be switched off."""

import logging
from typing import Final

_log: Final = logging.getLogger("fibonacci_anthropic")
_told: Final[set[str]] = set()


def tell_end_of_life(model: str) -> None:
    """Log a warning, once for a model and process, where the SDK knows the model's last day.

    Not the SDK's own DeprecationWarning: Python shows none that comes from within a library, and
    where warnings are errors it would be the answer to a prompt.
    """
    from anthropic.resources.messages import DEPRECATED_MODELS

    if (day := DEPRECATED_MODELS.get(model)) and model not in _told:
        _told.add(model)
        _log.warning("the model %s is switched off on %s: move to a newer one", model, day)
