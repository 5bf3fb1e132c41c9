"""A chat over HTTP, with a memory of each user's own: `uvicorn fastapi_chat.app:app`."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from fibonacci import FibonacciError, MemoryView, NodeText, Workflow

from .auth import User
from .chat import chatbot
from .problems import explained, failed, refused


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one workflow, and so one connection to its memory, for all requests of this process."""
    async with chatbot() as workflow:
        workflow.validate()
        app.state.workflow = workflow
        yield


app = FastAPI(title="A chat that remembers", lifespan=lifespan)
app.add_exception_handler(FibonacciError, failed)
app.add_exception_handler(RequestValidationError, refused)


async def the_workflow(request: Request) -> Workflow:
    workflow: Workflow = request.app.state.workflow
    return workflow


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


@app.post("/chat/stream")
async def stream(body: Message, chat: Chat, user: User) -> StreamingResponse:
    """Answer piece by piece, as server-sent events; who hangs up in between leaves nothing."""
    told = spoken(chat, body.message, user)
    first = await anext(told)  # what fails before the first word has a status of its own
    unbuffered = {"X-Accel-Buffering": "no"}  # nginx would hold the pieces back
    return StreamingResponse(from_first(first, told), 200, unbuffered, "text/event-stream")


async def spoken(chat: Workflow, message: str, user: str) -> AsyncGenerator[str]:
    """Yield the answer's pieces, and the end once the turn is remembered."""
    async with aclosing(chat.astream({"message": message}, user_id=user)) as events:
        async for event in events:
            if isinstance(event, NodeText):
                yield f"data: {json.dumps({'text': event.text})}\n\n"
    yield "event: done\ndata: {}\n\n"


async def from_first(first: str, told: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yield it all; the status is sent by now, and so a fault is an event."""
    async with aclosing(told):
        yield first
        try:
            async for one in told:
                yield one
        except FibonacciError as error:
            _, detail = explained(error)
            yield f"event: error\ndata: {json.dumps({'detail': detail})}\n\n"


@app.get("/history")
async def history(memory: Memory) -> list[dict[str, str]]:
    """Return the last twenty turns, the newest last."""
    turns: list[dict[str, str]] = await memory.aget("history", default=[])
    return turns


@app.delete("/history", status_code=204)
async def forget(memory: Memory) -> None:
    """Forget them."""
    await memory.adelete("history")


@app.get("/health")
async def health(chat: Chat) -> dict[str, str]:
    """Say whether requests can be served: whether the memory answers."""
    await chat.memory.aexists("health")
    return {"status": "ok"}
