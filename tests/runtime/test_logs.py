"""A driver's log records about our calls are dropped, and no others."""

import logging

from fibonacci import BackendUnavailableError, OutcomeUnknownError
from fibonacci.plugin.runtime import drop_log_records, no_response_error


def is_ours(record):
    return "prompt" in record.getMessage()


def test_our_records_are_dropped(caplog):
    """Records that the function calls ours are not logged, however often that was set up."""
    for _ in range(2):
        drop_log_records(["driver.client", "driver.wire"], is_ours)
    logger = logging.getLogger("driver.client")
    assert len(logger.filters) == len(set(logger.filters)) == 1
    with caplog.at_level(logging.DEBUG):
        logger.debug("our prompt")
        logger.debug("their request")
        logging.getLogger("driver.wire").debug("a prompt")
    assert [record.getMessage() for record in caplog.records] == ["their request"]


def test_outcome_of_a_missing_response():
    """Only a request that may have been applied has an unknown outcome."""
    lost = no_response_error("the connection broke", "Shelf at s:1", maybe_applied=True)
    assert type(lost) is OutcomeUnknownError
    assert str(lost) == (
        "the connection broke before Shelf at s:1 responded: the write may have been applied"
    )
    away = no_response_error("the time was up", "Shelf at s:1", maybe_applied=False)
    assert type(away) is BackendUnavailableError
    assert str(away) == "the time was up before Shelf at s:1 responded"
