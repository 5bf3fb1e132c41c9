"""A chat over HTTP, whose memory is Fibonacci's: run it with `uvicorn app:app`, see README.md."""

import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hmac import compare_digest
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from fibonacci import (
    BackendUnavailableError,
    FibonacciError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryView,
    NodeContext,
    NodeExecutionError,
    OutcomeUnknownError,
    Workflow,
)

log = logging.getLogger("uvicorn.error")


def turn(ctx: NodeContext) -> dict[str, str]:
    """Return what is remembered: question and answer as one element, so that none stands alone."""
    return {"user": ctx.inputs["message"], "assistant": ctx.results["answer"]}


def chatbot() -> Workflow:
    """Return the workflow; where its memory is, FIBONACCI_MEMORY_BACKEND and the others say."""
    answer = LLMNode(
        id="answer",
        model=os.environ.get("CHAT_MODEL", "echo"),
        prompt="Our conversation so far: {{memory.history}}\n\n{{input.message}}",
        memory_read=[{"key": "history", "scope": "user", "default": []}],
    )
    remember = FunctionNode(
        id="turn",
        function=turn,
        dependencies=["answer"],
        memory_write={"key": "history", "scope": "user", "mode": "append", "max_items": 20},
    )
    workflow = Workflow("chat", MemoryConfig.from_env(), timeout=60)
    workflow.add_node(answer)
    workflow.add_node(remember)
    return workflow


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one workflow, and so one connection to its memory, for all requests of this process."""
    async with chatbot() as workflow:
        workflow.validate()
        app.state.workflow = workflow
        app.state.tokens = json.loads(os.environ["CHAT_TOKENS"])  # {token: user id}
        yield


app = FastAPI(title="A chat that remembers", lifespan=lifespan)


async def whose(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]
) -> str:
    """Return whose request it is. Your own authentication goes here; nothing else names a user."""
    given, user = bearer.credentials.encode(), None
    for token, owner in request.app.state.tokens.items():
        if compare_digest(token.encode(), given):
            user = owner
    if user is None:
        raise HTTPException(401, "unknown token", {"WWW-Authenticate": "Bearer"})
    return user


async def the_workflow(request: Request) -> Workflow:
    return request.app.state.workflow


User = Annotated[str, Depends(whose)]
Chat = Annotated[Workflow, Depends(the_workflow)]


async def own_memory(chat: Chat, user: User) -> MemoryView:
    """Return the memory of the request's own user, which reaches nobody else's."""
    return chat.memory.for_user(user)


Memory = Annotated[MemoryView, Depends(own_memory)]


class Message(BaseModel):
    """A request's body. One that says more, a user id say, is refused."""

    model_config = ConfigDict(extra="forbid")
    message: str = Field(min_length=1, max_length=4_000)


@app.post("/chat")
async def say(body: Message, chat: Chat, user: User) -> dict[str, str]:
    """Answer, and remember both."""
    result = await chat.aexecute({"message": body.message}, user_id=user)
    return {"answer": result["answer"]}


@app.get("/history")
async def history(memory: Memory) -> list[dict[str, str]]:
    """Return the last twenty turns, the newest last."""
    return await memory.aget("history", default=[])


@app.delete("/history", status_code=204)
async def forget(memory: Memory) -> None:
    """Forget them."""
    await memory.adelete("history")


@app.get("/health")
async def health(chat: Chat) -> dict[str, str]:
    """Say whether requests can be served: whether the memory answers."""
    await chat.memory.aexists("health")
    return {"status": "ok"}


@app.exception_handler(RequestValidationError)
async def refused(_: Request, error: Any) -> JSONResponse:
    """Say what is wrong with a request, without the request: half a surrogate pair has no UTF-8."""
    wrong = [{"loc": one["loc"], "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": wrong}, 422)


@app.exception_handler(FibonacciError)
async def failed(_: Request, error: Any) -> JSONResponse:
    """Tell the caller what to do about it, and the log what it was."""
    log.error("a request failed", exc_info=error)
    cause = error.cause if isinstance(error, NodeExecutionError) else error
    match cause:
        case BackendUnavailableError():
            return JSONResponse({"detail": "try again soon"}, 503, {"Retry-After": "1"})
        case OutcomeUnknownError():
            return JSONResponse({"detail": "this may be remembered: look at /history"}, 500)
    return JSONResponse({"detail": "internal error"}, 500)
