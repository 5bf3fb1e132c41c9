"""What the tests of loggers share."""

import pytest


def take_messages(caplog: pytest.LogCaptureFixture, logger: str, level: str) -> list[str]:
    """Return the messages of a logger at one level, and discard all captured records."""
    messages = [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelname) == (logger, level)
    ]
    caplog.clear()
    return messages
