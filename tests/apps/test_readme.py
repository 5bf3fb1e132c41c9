"""The transcript in the README of examples/fastapi_chat matches the app's output."""

import argparse
import re
import shlex
from pathlib import Path

import httpx
from services.standalone import Redis

from .server import serving

PAGE = Path(__file__).parents[2] / "examples" / "fastapi_chat" / "README.md"


def curl(client: httpx.Client, command: str) -> str:
    """Return what curl would print."""
    options = argparse.ArgumentParser()
    options.add_argument("-s", "-sN", action="store_true")
    options.add_argument("-X", dest="method")
    options.add_argument("-H", dest="header")
    options.add_argument("--json")
    options.add_argument("address")
    asked = options.parse_args(shlex.split(command))
    headers = dict([asked.header.split(": ", 1)] if asked.header else [])
    if asked.json:
        headers["Content-Type"] = "application/json"
    method = asked.method or ("POST" if asked.json else "GET")
    path = asked.address.removeprefix("localhost:8000")
    return client.request(method, path, content=asked.json, headers=headers).text


def test_the_transcript(valkey_server: Redis) -> None:
    """Each curl command prints what the README shows, in order."""
    tokens = {"token-of-ada": "ada", "token-of-bob": "bob"}
    blocks = "".join(re.findall(r"```console\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
    asked = re.findall(r"\$ curl (.*)\n([^$]*)", blocks)
    assert len(asked) >= 7
    with (
        serving(valkey_server.url, model="echo", tokens=tokens) as app,
        httpx.Client(base_url=app.url, timeout=20, verify=False) as client,
    ):
        for command, printed in asked:
            assert curl(client, command).strip() == printed.strip()
