"""Error handlers: the client learns what to do, the log what happened."""

import logging
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from fibonacci import (
    BackendUnavailableError,
    FibonacciError,
    NodeExecutionError,
    OutcomeUnknownError,
)

log = logging.getLogger("uvicorn.error")


def explain(error: FibonacciError) -> tuple[int, str]:
    """Return a status, and what the client can do."""
    cause = error.cause if isinstance(error, NodeExecutionError) else error
    if isinstance(cause, BackendUnavailableError):
        log.warning("the memory is unavailable: %s", cause)
        return 503, "try again soon"
    log.error("a request failed", exc_info=error)
    if isinstance(cause, OutcomeUnknownError):
        return 500, "this may be stored: look at /history"
    return 500, "internal error"


async def handle_error(_: Request, error: Any) -> JSONResponse:
    """Return the response for a FibonacciError."""
    status, detail = explain(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"detail": detail}, status, headers)


async def handle_invalid_request(_: Request, error: Any) -> JSONResponse:
    """Return the response for an invalid request, without quoting it.

    Half a surrogate pair, which JSON can hold, could not be sent back.
    """
    problems = [{"loc": problem["loc"], "msg": problem["msg"]} for problem in error.errors()]
    return JSONResponse({"detail": problems}, 422)
