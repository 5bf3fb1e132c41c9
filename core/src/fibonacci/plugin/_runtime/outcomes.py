"""What to raise where no answer came."""

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError


def no_response_error(reason: str, server: str, *, maybe_applied: bool) -> StorageError:
    """Return the error for a request to which no answer came.

    OutcomeUnknownError where it may have been applied: it changes a record, and its last byte may
    have been sent. BackendUnavailableError where it surely was not, or changes nothing.

    ``reason`` says what happened ("the connection broke"), ``server`` who did not answer; neither
    may hold a value or a password.
    """
    text = f"{reason} before {server} answered"
    if maybe_applied:
        return OutcomeUnknownError(f"{text}: the write may have been applied")
    return BackendUnavailableError(text)
