"""The offline models, and functions as models, keep the contract of models."""

import json
import re
from collections.abc import Generator

import pytest

from fibonacci._builtin.echo import Echo
from fibonacci._workflow.function_models import FunctionModel
from fibonacci.plugin import Completion, ModelRequest
from fibonacci.testing import ProviderContract


class TestEcho(ProviderContract):
    model = "echo"


class TestScripted(ProviderContract):
    model = "scripted:" + json.dumps(["The sea is wide, and ships are small."] * 2_000)


class TestFixture(ProviderContract):
    modes = ("mixed",)

    @pytest.fixture
    def model(self):
        return Echo()


def generate(request: ModelRequest) -> Generator[str | Completion]:
    completion = Echo().complete(request)
    yield from re.split("( )", completion.text)
    yield completion


class TestGenerator(ProviderContract):
    model = FunctionModel(generate)
