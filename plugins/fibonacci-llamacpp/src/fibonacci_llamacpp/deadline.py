"""When an answer is due, and what is said when it is late."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from fibonacci.errors import ModelError


def left(deadline: float | None) -> float | None:
    """Return the seconds that are left, None without a deadline; TimeoutError when none are."""
    if deadline is None:
        return None
    if (seconds := deadline - monotonic()) <= 0:
        raise TimeoutError
    return seconds


@contextmanager
def translated() -> Iterator[None]:
    """Turn what sockets and clocks raise into ModelError."""
    try:
        yield
    except TimeoutError:
        raise ModelError(
            "llamacpp: the answer did not come by the deadline. Allow more time, ask for fewer "
            "tokens, or take a smaller model",
            retryable=True,
        ) from None
    except OSError as error:
        raise ModelError(f"llamacpp: the connection broke: {error}", retryable=True) from error
