"""The bench that a store is tested on: what to test, how patiently, and fresh memories."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any, ClassVar, cast

import attrs
import pytest

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci.plugin import Store
from fibonacci.testing.modes import CALL_MODES, CallMode, Question
from fibonacci.testing.store.spoken import Raw, Spoken


@attrs.define(kw_only=True)
class Opener:
    """Opens memories for one test, under a key prefix of the test's own."""

    config: dict[str, Any]
    mode: CallMode
    prefix: str
    _spoken: list[Spoken | Raw] = attrs.field(factory=list)
    _workflows: list[Workflow] = attrs.field(factory=list)

    def workflow(self, name: str = "w", *, prefix: str = "", **config: Any) -> Workflow:
        """Return a workflow, closed after the test; ``prefix`` goes behind the test's own."""
        settings: dict[str, Any] = {**self.config, "key_prefix": self.prefix + prefix, **config}
        organization = settings.pop("organization_id", None)
        workflow = Workflow(name, MemoryConfig(**settings), organization_id=organization)
        self._workflows.append(workflow)
        return workflow

    def speak(self, workflow: Workflow, mode: CallMode | None = None) -> MemoryManager:
        """Return the workflow's memory, in the test's mode or another one."""
        spoken = Spoken(workflow.memory, mode or self.mode)
        self._spoken.append(spoken)
        return cast(MemoryManager, spoken)

    def memory(self, name: str = "w", *, prefix: str = "", **config: Any) -> MemoryManager:
        """Return the memory of a new workflow, in the test's mode."""
        return self.speak(self.workflow(name, prefix=prefix, **config))

    def raw(self) -> Raw:
        """Return the store itself, in the test's mode."""
        raw = Raw(self.workflow().memory, self.prefix, self.mode, self.config["timeout"])
        self._spoken.append(raw)
        return raw

    def end(self) -> None:
        """Remove what the test wrote, and close what it opened."""
        for spoken in self._spoken:
            spoken.wipe()
        for workflow in self._workflows:
            with suppress(Exception):
                shut(workflow, self.mode)


def shut(workflow: Workflow, mode: CallMode) -> None:
    """Close a workflow in the given mode."""
    mode.ask(Question(workflow.close, workflow.aclose))


class Bench:
    """What a contract's class may set, and the fixtures of its tests."""

    backend: str | Store
    """The backend's name, as users write it; or a Store."""
    url: Any = None
    """The connection URL. A property will do as well, or a fixture of this name."""
    options: Mapping[str, Any] = {}
    """The backend's own options."""

    modes: ClassVar[Sequence[Any]] = tuple(CALL_MODES)
    """In which modes to run: their names, or ``pytest.param`` of one with marks."""
    timeout: ClassVar[float] = 10.0
    """Seconds for one request; generous, as contended records are retried until then."""
    short: ClassVar[float] = 0.03
    """Seconds that a record lives which the test waits to expire."""
    grace: ClassVar[float] = 0.02
    """Seconds to wait beyond an expiry; more for a store whose clock is coarse."""
    many: ClassVar[int] = 2_500
    """Records of a space that is listed and cleared in several pages."""
    examples: ClassVar[int] = 15
    """Histories that the model-based test tries."""
    shrink: ClassVar[bool] = False
    """Shorten a history that fails; it may take minutes."""

    fibonacci_contract: ClassVar[str] = "StoreContract"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once a mode."""
        if "mode" in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize("mode", metafunc.cls.modes, indirect=True, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def mode(cls, request: pytest.FixtureRequest) -> Iterator[CallMode]:
        """The mode, with one event loop for all tests of the class."""
        with CALL_MODES[request.param]() as mode:
            yield mode

    @pytest.fixture(scope="class")
    @classmethod
    def kept(cls, mode: CallMode) -> Iterator[list[Workflow]]:
        """A workflow that holds the store from test to test: connecting may take long."""
        kept: list[Workflow] = []
        yield kept
        for workflow in kept:
            shut(workflow, mode)

    @pytest.fixture
    def opener(
        self, request: pytest.FixtureRequest, mode: CallMode, kept: list[Workflow]
    ) -> Iterator[Opener]:
        """What opens memories for this test."""
        url = self.url if isinstance(self.url, str | None) else request.getfixturevalue("url")
        config: dict[str, Any] = {
            "backend": self.backend,
            "connection_url": url,
            "options": self.options,
            "timeout": self.timeout,
        }
        kept.append(Workflow("kept", MemoryConfig(**config)))
        for workflow in kept[:-1]:
            shut(workflow, mode)
            kept.remove(workflow)
        opener = Opener(config=config, mode=mode, prefix=f"t{token_hex(5)}:")
        yield opener
        opener.end()

    @pytest.fixture
    def memory(self, opener: Opener) -> MemoryManager:
        """The memory of a workflow, with nothing in it."""
        return opener.memory()

    @pytest.fixture
    def raw(self, opener: Opener) -> Raw:
        """The store under test, with nothing in it under this test's prefix."""
        return opener.raw()

    @property
    def short_ms(self) -> int:
        """The short life, as stores take it."""
        return round(self.short * 1000)

    def outlive(self) -> None:
        """Wait until what was written with the short life has expired."""
        time.sleep(self.short + self.grace)
