"""From a request to the tokens of a prompt, and from the model's output to a completion.

The model's own chat template makes one text of the system prompt, the history and the prompt, with
markers between them (``<|im_start|>user``). If the text of a user or of a memory were tokenized
like the rest, it could contain such markers and forge a message of another role. So the template is
filled with placeholders, and the texts that replace them are tokenized apart, as plain text.
"""

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta, Usage
from fibonacci_llamacpp.client import Client
from fibonacci_llamacpp.conversation import conversation

NO_TOKEN: Final = -1
"""What ends each text in a list: no token has this number."""

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
    messages = conversation(request)
    frame, order = await _fill_template(client, [role for role, _ in messages])
    texts = await _tokenize(client, [text for _, text in messages], parse_special=False)
    # The first text gets the model's token for the beginning.
    first, *rest = await _tokenize(client, frame, parse_special=True, add_special=True)
    following = zip(order, rest, strict=True)
    return first + [token for index, part in following for token in texts[index] + part]


async def _fill_template(client: Client, roles: Iterable[str]) -> tuple[list[str], list[int]]:
    """Return the template's own texts, and the indexes of the messages between them."""
    messages = [{"role": role, "content": placeholder(index)} for index, role in enumerate(roles)]
    filled = (await client.request("/apply-template", {"messages": messages}))["prompt"]
    parts = re.split(placeholder(r"(\d+)"), filled)
    order = [int(index) for index in parts[1::2]]
    if set(order) != set(range(len(messages))):
        raise ModelError("llamacpp: the model's chat template leaves out a message")
    return parts[::2], order


async def _tokenize(client: Client, texts: Iterable[str], **options: bool) -> list[list[int]]:
    """Return the tokens of each text, by one request: a connection serves a hundred.

    llama.cpp tokenizes each text of a list by itself, and returns numbers among them unchanged.
    """
    content = [item for text in texts for item in (text, NO_TOKEN)]
    tokens = (await client.request("/tokenize", {"content": content, **options}))["tokens"]
    results: list[list[int]] = [[]]
    for token in tokens:
        if token == NO_TOKEN:
            results.append([])
        else:
            results[-1].append(token)
    return results[:-1]


def placeholder(index: int | str) -> str:
    """Return what stands in the template for a message; no placeholder is in another one."""
    return f"PLACEHOLDER{index}END"


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
