"""From a request to the tokens of a prompt, and from the model's output to a completion.

The model's own chat template makes one text of the system prompt and the prompt, with markers
between them (``<|im_start|>user``). If the text of a user or of a memory were tokenized like the
rest, it could contain such markers and forge a message of another role. So the template is filled
with placeholders, and the texts that replace them are tokenized apart, as plain text.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage
from fibonacci_llamacpp.client import Client

SYSTEM: Final = "PLACEHOLDERFORTHESYSTEMPROMPT"
USER: Final = "PLACEHOLDERFORTHEPROMPT"

STOP_REASONS: Final[dict[str, Any]] = {"eos": "end", "limit": "max_tokens", "word": "stop"}


async def stream_completion(
    client: Client, request: ModelRequest
) -> AsyncGenerator[TextDelta | Completion, None]:
    """Yield deltas, then the completion. Raises ModelError."""
    prompt = await prompt_tokens(client, request)
    texts: list[str] = []
    async with aclosing(client.stream("/completion", _completion_body(request, prompt))) as events:
        async for event in events:
            if event["content"]:
                texts.append(event["content"])
                yield TextDelta(event["content"])
            if event["stop"]:
                usage = Usage(input_tokens=len(prompt), output_tokens=event["tokens_predicted"])
                reason = STOP_REASONS.get(event["stop_type"])
                yield Completion(text="".join(texts), usage=usage, stop_reason=reason)


async def prompt_tokens(client: Client, request: ModelRequest) -> list[int]:
    """Return the tokens of the filled template, in which every marker is the template's own."""
    texts = {USER: request.prompt}
    messages = [{"role": "user", "content": USER}]
    if request.system_prompt is not None:
        texts[SYSTEM] = request.system_prompt
        messages.insert(0, {"role": "system", "content": SYSTEM})
    filled = (await client.request("/apply-template", {"messages": messages}))["prompt"]
    parts = re.split(f"({SYSTEM}|{USER})", filled)
    if not texts.keys() <= set(parts):
        raise ModelError("llamacpp: the model's chat template leaves out the prompt")
    tokens: list[int] = []
    for index, part in enumerate(parts):
        body = {
            "content": texts.get(part, part),
            "add_special": index == 0,  # the model's token for the beginning of a text
            "parse_special": part not in texts,
        }
        tokens += (await client.request("/tokenize", body))["tokens"]
    return tokens


def _completion_body(request: ModelRequest, prompt: list[int]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt": prompt,
        "n_predict": request.max_tokens,
        "temperature": request.temperature or 0,
        "stop": list(request.stop),
        "stream": True,
    }
    if request.output_format == "json":
        schema = request.output_schema
        body["json_schema"] = {"type": "object"} if schema is None else dict(schema)
    return body
