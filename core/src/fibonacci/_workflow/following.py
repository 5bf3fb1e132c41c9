"""Asking a model piece by piece."""

from contextlib import aclosing
from functools import partial

from fibonacci._workflow.channel import Channel
from fibonacci._workflow.events import NodeText
from fibonacci._workflow.voice import Voice
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelRequest, TextDelta


async def follow(
    voice: Voice, channel: Channel, node_id: str, model: Model, request: ModelRequest
) -> Completion:
    """Ask a model, tell each piece of its answer, and return the whole. Raises Overdue."""
    work = partial(_pieces, voice, channel, node_id, model, request)
    return await voice.within(work, request.deadline)


async def _pieces(
    voice: Voice, channel: Channel, node_id: str, model: Model, request: ModelRequest
) -> Completion:
    closed = channel.waiter()
    try:
        async with aclosing(voice.pieces(model, request)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, TextDelta):
                    return _whole(piece)
                if piece.text:
                    event = NodeText(node_id, piece.text)
                    await channel.tell(event, request.deadline, closed)
    finally:
        closed.wake()
    return _whole(None)


def _whole(piece: Completion | None) -> Completion:
    if isinstance(piece, Completion):
        return piece
    raise WorkflowValidationError(
        f"a model must stream TextDeltas, and a Completion at the end, not {type(piece).__name__}"
    )
