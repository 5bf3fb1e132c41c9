"""From a request to the tokens that the model reads, and from its tokens to the answer.

The model's own chat template makes one text of the system prompt and the prompt, with markers
between them (``<|im_start|>user``). If what a user or a memory said were read like the rest of
it, it could hold such markers, and forge a turn of another speaker. So the template is filled
with placeholders, and what belongs in their place is tokenised by itself, with markers unread.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage
from fibonacci_llamacpp.wire import Wire

SYSTEM: Final = "PLACEHOLDERFORTHESYSTEMPROMPT"
USER: Final = "PLACEHOLDERFORTHEPROMPT"

STOP_REASONS: Final[dict[str, Any]] = {"eos": "end", "limit": "max_tokens", "word": "stop"}


async def answer(wire: Wire, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion, None]:
    """Yield the pieces of the answer, and the whole. Raises ModelError."""
    prompt = await prompt_tokens(wire, request)
    pieces: list[str] = []
    async with aclosing(wire.events("/completion", _question(request, prompt))) as events:
        async for event in events:
            if event["content"]:
                pieces.append(event["content"])
                yield TextDelta(event["content"])
            if event["stop"]:
                usage = Usage(input_tokens=len(prompt), output_tokens=event["tokens_predicted"])
                reason = STOP_REASONS.get(event["stop_type"])
                yield Completion(text="".join(pieces), usage=usage, stop_reason=reason)


async def prompt_tokens(wire: Wire, request: ModelRequest) -> list[int]:
    """Return the filled template as tokens, in which every marker is the template's own."""
    said = {USER: request.prompt}
    messages = [{"role": "user", "content": USER}]
    if request.system_prompt is not None:
        said[SYSTEM] = request.system_prompt
        messages.insert(0, {"role": "system", "content": SYSTEM})
    filled = (await wire.call("/apply-template", {"messages": messages}))["prompt"]
    parts = re.split(f"({SYSTEM}|{USER})", filled)
    if not said.keys() <= set(parts):
        raise ModelError("llamacpp: the model's chat template leaves out the prompt")
    tokens: list[int] = []
    for at, part in enumerate(parts):
        body = {
            "content": said.get(part, part),
            "add_special": at == 0,  # as this model wants texts to begin
            "parse_special": part not in said,
        }
        tokens += (await wire.call("/tokenize", body))["tokens"]
    return tokens


def _question(request: ModelRequest, prompt: list[int]) -> dict[str, Any]:
    question: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": request.max_tokens,
        "temperature": request.temperature or 0,
        "stop": list(request.stop),
        "stream": True,
    }
    if request.output_format == "json":
        schema = request.output_schema
        question["json_schema"] = {"type": "object"} if schema is None else dict(schema)
    return question
