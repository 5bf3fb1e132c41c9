"""Prompts that are treated as more than text."""

from typing import Any

import attrs

from broken_models.sound import Sound, broken


@broken("test_any_prompt")
class Formats(Sound):
    """The prompt is rendered as a format string."""

    def words(self, request) -> Any:
        return super().words(attrs.evolve(request, prompt=request.prompt % ()))


@broken("test_any_prompt")
class SpeaksUTF8(Sound):
    """A prompt that can't be encoded raises Python's error."""

    def words(self, request) -> Any:
        request.prompt.encode()
        return super().words(request)


@broken("test_any_system_prompt")
class NeedsASystemPrompt(Sound):
    """An empty system prompt raises IndexError."""

    def steps(self, request) -> Any:
        if request.system_prompt is not None:
            assert request.system_prompt[0]
        return super().steps(request)


@broken("test_long_prompt")
class CountsCharacters(Sound):
    """A long prompt fails an assertion."""

    def steps(self, request) -> Any:
        assert len(request.prompt) < 10_000
        return super().steps(request)
