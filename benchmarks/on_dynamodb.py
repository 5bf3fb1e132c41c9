"""The ``dynamodb`` backend against boto3's client with orjson, on a server that answers at once.

So it is the client's own time that is compared: what DynamoDB takes comes to both alike. boto3 has
nothing of the contract: no check of keys and values, no expiry, no deadline. Run it with
``python benchmarks/on_dynamodb.py``.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import orjson
from measure import seconds_per_call
from values import VALUES

from fibonacci import MemoryConfig, Workflow

RESPONDER = Path(__file__).with_name("dynamodb_responder.py")

GOAL = 1.0
"""Ratio to boto3 that a release must show, of operations a second."""


@contextmanager
def responder(value: bytes) -> Iterator[str]:
    """Start the server in its own process, and yield its address."""
    command = [sys.executable, RESPONDER, value]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()


def compare(value: Any) -> dict[str, float]:
    """Return the seconds a call for boto3 and for the memory."""
    key = {"pk": {"S": "fibonacci: workflow benchmark"}, "sk": {"S": "key"}}
    with responder(orjson.dumps(value)) as url:
        client = boto3.client("dynamodb", region_name="eu-west-1", endpoint_url=url)
        config = MemoryConfig("dynamodb", "dynamodb://eu-west-1", options={"endpoint_url": url})
        memory = Workflow("benchmark", config).memory

        def boto3_get() -> Any:
            found = client.get_item(TableName="fibonacci", Key=key, ConsistentRead=True)
            return orjson.loads(found["Item"]["v"]["B"])

        def boto3_set() -> None:
            client.put_item(TableName="fibonacci", Item={**key, "v": {"B": orjson.dumps(value)}})

        assert memory.get("key") == boto3_get() == value
        return seconds_per_call(
            {
                "boto3 get": boto3_get,
                "get": lambda: memory.get("key"),
                "boto3 set": boto3_set,
                "set": lambda: memory.set("key", value),
            }
        )


def main() -> None:
    """Print a table: microseconds, and the memory's speed relative to boto3's."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    print(f"Python {platform.python_version()}, boto3 {boto3.__version__}")
    print(f"{'value':8}{'verb':8}{'boto3 µs':>10}{'ours µs':>10}{'ratio':>8}  goal")
    for name, value in VALUES.items():
        found = compare(value)
        for verb in ("get", "set"):
            boto, ours = found[f"boto3 {verb}"] * 1e6, found[verb] * 1e6
            print(f"{name:8}{verb:8}{boto:10.1f}{ours:10.1f}{boto / ours:8.2f}  {GOAL}")


if __name__ == "__main__":
    main()
