"""Limits: what a request asks for besides its text."""

from typing import Any

import attrs
import pytest

from fibonacci import LLMNode, Workflow, WorkflowValidationError
from fibonacci.plugin import Completion, Model
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel

NEVER = "\x00 never said \x00"

SETTINGS = {"temperature": 0.5, "stop": ("word",)}
"""The optional fields, and what a node may set them to."""

SCHEMA = {"type": "object", "properties": {"sea": {"type": "string"}}, "required": ["sea"]}


class Limits(Bench):
    """C32."""

    def test_accepts(self, bare: Model) -> None:
        """A model names the optional fields that it heeds; nodes with another are refused (C32)."""
        assert isinstance(bare.supported_options, frozenset)
        assert bare.supported_options <= SETTINGS.keys()
        for field in SETTINGS:
            settings: dict[str, Any] = {field: SETTINGS[field]}
            workflow = Workflow("limits")
            workflow.add_node(LLMNode("n", bare, "p", **settings))
            if field in bare.supported_options:
                workflow.validate()
            else:
                with pytest.raises(WorkflowValidationError, match=field):
                    workflow.validate()

    def test_stop(self, provider: SpokenModel) -> None:
        """An answer ends before the text of stop, and says so (C32)."""
        whole, word = self._stopping(provider)
        answer = provider.complete(attrs.evolve(self.request, stop=(NEVER, word)))
        self._check_stopped(answer, whole, word)

    def test_stop_of_a_stream(self, provider: SpokenModel) -> None:
        """No piece of a stream holds the text of stop, nor a part of it (C32)."""
        whole, word = self._stopping(provider)
        pieces = provider.pieces(attrs.evolve(self.request, stop=(word, NEVER)))
        self._check_stopped(self.whole(pieces), whole, word)

    def test_max_tokens(self, provider: SpokenModel) -> None:
        """An answer has no more tokens than it may; one that was cut says so (C32)."""
        whole = provider.complete(self.request)
        short = attrs.evolve(self.request, max_tokens=1)
        for answer in (provider.complete(short), self.whole(provider.pieces(short))):
            assert self.sound(answer).usage.output_tokens <= 1
            if self.steady and answer.text != whole.text:
                assert whole.text.startswith(answer.text)
                assert answer.stop_reason == "max_tokens"

    def test_temperature(self, provider: SpokenModel) -> None:
        """A temperature that the model heeds is no trouble (C32)."""
        accepted = "temperature" in provider.model.supported_options
        for temperature in (0, 0.7, 1.0) if accepted else (None,):
            request = attrs.evolve(self.request, temperature=temperature, max_tokens=2)
            self.sound(provider.complete(request))

    def test_json(self, provider: SpokenModel) -> None:
        """A request for JSON is answered, with a schema and without, and left as it is (C32)."""
        for schema in (None, SCHEMA):
            request = attrs.evolve(self.request, output_format="json", output_schema=schema)
            before = repr(request)
            self.sound(provider.complete(request))
            assert repr(request) == before

    def _stopping(self, provider: SpokenModel) -> tuple[Completion, str]:
        if "stop" not in provider.model.supported_options:
            pytest.skip("the model does not heed stop, and test_accepts holds it to that")
        whole = self.sound(provider.complete(self.request))
        words = whole.text.split()
        return whole, words[len(words) // 2]

    def _check_stopped(self, answer: Completion, whole: Completion, word: str) -> None:
        assert word not in self.sound(answer).text
        if self.steady:
            assert answer.text == whole.text[: whole.text.index(word)]
            assert answer.stop_reason == "stop"
