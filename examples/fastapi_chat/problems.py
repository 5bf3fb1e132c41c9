"""What becomes of faults: the caller is told what to do about it, the log alone what it was."""

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


def explained(error: FibonacciError) -> tuple[int, str]:
    """Return a status, and what the caller can do."""
    cause = error.cause if isinstance(error, NodeExecutionError) else error
    if isinstance(cause, BackendUnavailableError):
        log.warning("the memory is away: %s", cause)
        return 503, "try again soon"
    log.error("a request failed", exc_info=error)
    if isinstance(cause, OutcomeUnknownError):
        return 500, "this may be remembered: look at /history"
    return 500, "internal error"


async def failed(_: Request, error: Any) -> JSONResponse:
    """Answer a request that met a FibonacciError."""
    status, detail = explained(error)
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"detail": detail}, status, headers)


async def refused(_: Request, error: Any) -> JSONResponse:
    """Answer a request that is wrong in itself, and quote nothing of it.

    Half a surrogate pair, which JSON can hold, could not be sent back.
    """
    wrong = [{"loc": one["loc"], "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": wrong}, 422)
