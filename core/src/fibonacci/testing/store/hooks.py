"""The hook: which URLs it refuses, what it tells apart, and that it does no I/O."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from fibonacci import ConfigurationError, Workflow
from fibonacci.plugin import StoreSettings, StoreURL
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import CallMode, CallPair
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory, close_workflow
from fibonacci.testing.store.io_audit import noted_io

OTHER_PATHS = ["/another", "/15"]
"""Of a database by name, and by number."""


class HookTests(ContractFixtures):
    """C22 and C23: the hook."""

    @pytest.fixture
    def url_settings(self, memory_factory: MemoryFactory) -> StoreSettings:
        """What core passes to the hook, if there is a URL."""
        settings = memory_factory.settings()
        if settings.url is None:
            not_applicable("the backend is used without a URL")
        return settings

    def test_no_early_io(
        self, memory_factory: MemoryFactory, mode: CallMode, open_workflows: list[Workflow]
    ) -> None:
        """The hook, create_store and create_async_store do no I/O (C22)."""
        settings = memory_factory.settings()
        for workflow in open_workflows:  # stores may share what is open already
            close_workflow(workflow, mode)

        async def create() -> object:
            with noted_io() as io:
                backend.create_async_store()
            return io

        def create_sync() -> object:
            with noted_io() as io:
                backend.create_store()
            return io

        with noted_io() as io:
            backend = memory_factory.call_hook(settings)
        assert io == []
        assert mode.call(CallPair(create_sync, create)) == []

    def test_another_scheme(
        self, memory_factory: MemoryFactory, url_settings: StoreSettings
    ) -> None:
        """The URL of another backend is refused (C23)."""
        with pytest.raises(ConfigurationError):
            memory_factory.call_hook(with_url(url_settings, scheme="no-such-scheme"))

    def test_no_url(self, memory_factory: MemoryFactory, url_settings: StoreSettings) -> None:
        """Without a URL the hook returns a backend, or raises a ConfigurationError (C23)."""
        try:
            memory_factory.call_hook(attrs.evolve(url_settings, url=None))
        except ConfigurationError:
            return

    def test_unknown_option_in_the_url(
        self, memory_factory: MemoryFactory, url_settings: StoreSettings
    ) -> None:
        """An unknown option in the URL is refused, and its value not shown (C23)."""
        assert url_settings.url is not None
        query = {**url_settings.url.query, "no_such_option": "hunter2"}
        with pytest.raises(ConfigurationError) as caught:
            memory_factory.call_hook(with_url(url_settings, query=query))
        assert "hunter2" not in str(caught.value)

    def test_identity(self, memory_factory: MemoryFactory, url_settings: StoreSettings) -> None:
        """URLs of other hosts, ports, paths or users don't share a store (C22)."""
        identity = memory_factory.call_hook(url_settings).identity
        assert url_settings.url is not None
        for changes in other_places(url_settings.url):
            try:
                other = memory_factory.call_hook(with_url(url_settings, **changes)).identity
            except ConfigurationError:
                continue
            assert identity is None or other != identity, f"equal with another {[*changes]}"


def with_url(settings: StoreSettings, **changes: Any) -> StoreSettings:
    """Return the settings with changes in their URL."""
    assert settings.url is not None
    return attrs.evolve(settings, url=attrs.evolve(settings.url, **changes))


def other_places(url: StoreURL) -> Iterator[dict[str, Any]]:
    """Return changes of the URL, each of which leads to another place."""
    name, port = url.hosts[0] if url.hosts else ("localhost", None)
    yield {"hosts": (("another.example", port), *url.hosts[1:])}
    yield {"hosts": ((name, (port or 9) + 1), *url.hosts[1:])}
    yield {"username": "another"}
    for path in OTHER_PATHS:
        if path != url.path:
            yield {"path": path}
