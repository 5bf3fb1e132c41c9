"""DynamoDB, simulated by moto, from the wheel `moto[server,dynamodb]`."""

import itertools
import json
import os
import sys
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services import farm, ports
from services.availability import unavailable
from services.process import Process
from services.server import Server

REGION = "eu-west-1"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",  # a chain without credentials would look there
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What a client of moto has in its environment: it takes any credentials, but wants some."""

_SCRIPT = Path(__file__).with_name("moto_server.py")

_numbers = itertools.count(1)


def fresh_table(url: str) -> str:
    """Return the URL with an unused table name in it."""
    name = f"fibonacci-test-{os.getpid()}-{next(_numbers)}"
    return f"{url}{'&' if '?' in url else '?'}table={name}"


class DynamoDB:
    """A DynamoDB that stores can connect to."""

    url: str
    """Of the default table."""

    @property
    def fresh(self) -> str:
        """Return the URL of a table that does not exist yet."""
        return fresh_table(self.url)


class Moto(DynamoDB, Server):
    """A moto server of the farm."""

    def __init__(self, process: Process, port: int) -> None:
        endpoint = f"http://{ports.LOOPBACK}:{port}"
        super().__init__(process, port, f"dynamodb://{REGION}?endpoint_url={endpoint}")

    def __call__(self, operation: str, **request: Any) -> Any:
        """Send a request without a client library."""
        connection = HTTPConnection(self.host, self.port, timeout=10)
        scope = f"test/20250101/{REGION}/dynamodb/aws4_request"
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}",
        }
        try:
            connection.request("POST", "/", json.dumps(request), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{operation}: {answer}")
        return answer

    def is_ready(self) -> bool:
        """Return whether it serves requests."""
        try:
            return "TableNames" in self("ListTables")
        except (OSError, HTTPException):
            return False


def moto() -> Moto:
    """Start a server without tables."""
    if not all(map(find_spec, ("moto", "flask_cors", "py_partiql_parser"))):
        reason = "no wheel moto[server,dynamodb] in this environment"
        unavailable("DynamoDB", reason, "pip install 'moto[server,dynamodb]'")
    port = ports.claim()
    folder = farm.ground().folder("moto")
    # -P: the script's folder has modules with the names of its imports.
    command = [sys.executable, "-P", str(_SCRIPT), ports.LOOPBACK, str(port)]
    return Moto(Process(command, folder), port).start()
