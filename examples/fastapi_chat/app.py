"""A chat over HTTP, with a separate memory for each user: `uvicorn fastapi_chat.app:app`."""

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
from .problems import explain, handle_error, handle_invalid_request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one workflow, and so one connection to its memory, for all requests of this process."""
    async with chatbot() as workflow:
        workflow.validate()
        app.state.workflow = workflow
        yield


app = FastAPI(title="A chat that remembers", lifespan=lifespan)
app.add_exception_handler(FibonacciError, handle_error)
app.add_exception_handler(RequestValidationError, handle_invalid_request)


async def get_workflow(request: Request) -> Workflow:
    workflow: Workflow = request.app.state.workflow
    return workflow


Chat = Annotated[Workflow, Depends(get_workflow)]


async def get_memory(chat: Chat, user: User) -> MemoryView:
    """Return the memory of the request's user, which can't read another's."""
    return chat.memory.for_user(user)


Memory = Annotated[MemoryView, Depends(get_memory)]


class Message(BaseModel):
    """A request's body. A body with further fields, such as a user id, is refused."""

    model_config = ConfigDict(extra="forbid")
    message: str = Field(min_length=1, max_length=4_000)


@app.post("/chat")
async def reply(body: Message, chat: Chat, user: User) -> dict[str, str]:
    """Return the reply, and store both messages."""
    result = await chat.aexecute({"message": body.message}, user_id=user)
    return {"answer": result["answer"]}


@app.post("/chat/stream")
async def stream(body: Message, chat: Chat, user: User) -> StreamingResponse:
    """Stream the reply as server-sent events.

    After a disconnect, the turn is stored whole or not at all.
    """
    chunks = stream_reply(chat, body.message, user)
    first = await anext(chunks)  # an error before the first word has its own status
    unbuffered = {"X-Accel-Buffering": "no"}  # or nginx would buffer the chunks
    return StreamingResponse(resume_stream(first, chunks), 200, unbuffered, "text/event-stream")


async def stream_reply(chat: Workflow, message: str, user: str) -> AsyncGenerator[str]:
    """Yield the chunks of the reply, and the end once the turn is stored."""
    async with aclosing(chat.astream({"message": message}, user_id=user)) as events:
        async for event in events:
            if isinstance(event, NodeText):
                yield f"data: {json.dumps({'text': event.text})}\n\n"
    yield "event: done\ndata: {}\n\n"


async def resume_stream(first: str, chunks: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """Yield all chunks; an error is an event, as the status is already sent."""
    async with aclosing(chunks):
        yield first
        try:
            async for chunk in chunks:
                yield chunk
        except FibonacciError as error:
            _, detail = explain(error)
            yield f"event: error\ndata: {json.dumps({'detail': detail})}\n\n"


@app.get("/history")
async def history(memory: Memory) -> list[dict[str, str]]:
    """Return the last twenty turns, the newest last."""
    turns: list[dict[str, str]] = await memory.aget("history", default=[])
    return turns


@app.delete("/history", status_code=204)
async def delete_history(memory: Memory) -> None:
    """Delete the user's history."""
    await memory.adelete("history")


@app.get("/health")
async def health(chat: Chat) -> dict[str, str]:
    """Check that requests can be served: that the memory responds."""
    await chat.memory.aexists("health")
    return {"status": "ok"}
