"""The offline models keep the contract of models."""

import json

import pytest

from fibonacci._builtin.echo import Echo
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
