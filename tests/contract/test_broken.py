"""The suite finds each of these defects, and by the clause that it breaks."""

from secrets import token_hex

import pytest
from broken import BROKEN, BROKEN_ASYNC
from minimal import MinimalStore, toy_plugin

from fibonacci import register_plugin
from fibonacci.testing.plugin import clauses_of

MODULE = """
from fibonacci.testing import StoreContract

class TestBroken(StoreContract):
    backend = "broken"
    voices = {voices!r}
    timeout = 0.5
    short, grace = 0.01, 0.01
    many, examples = 1_100, 5
"""


class Failures:
    """Gathers the clauses of the tests that fail."""

    def __init__(self):
        self.clauses = set()
        self.tests = []
        self.cited = {}

    def pytest_collection_modifyitems(self, items):
        self.cited = {item.nodeid: clauses_of(item.function) for item in items}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.tests.append(report.nodeid.partition("::test_")[2])
            self.clauses.update(self.cited[report.nodeid])


@pytest.fixture
def failing(tmp_path, request):
    """Runs the suite on a store, and returns what failed."""
    file = tmp_path / f"test_{token_hex(4)}.py"  # a module of its own
    config = tmp_path / "pytest.ini"
    config.write_text("[pytest]")

    def run(plugin, voice, chosen):
        failures = Failures()
        file.write_text(MODULE.format(voices=[voice]))
        # In this process, as each start of Python would cost a second.
        options = [
            "-q",
            "--tb=no",
            "-k",
            chosen,
            "-c",
            str(config),
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
        ]
        with register_plugin("storage", "broken", plugin):
            pytest.main([str(file), *options], plugins=[failures])
        assert failures.cited, "no test was collected"
        request.node.user_properties.append(("failures", failures))
        return failures

    return run


@pytest.mark.parametrize("name", BROKEN)
def test_defect_is_found(failing, name):
    """A store with one defect fails, by a test of the clause that it breaks."""
    store = BROKEN[name]
    # Without the histories: a defect has to be found by a test that says what it is.
    failures = failing(toy_plugin(store()), "sync", "not any_history")
    assert store.clause in failures.clauses


@pytest.mark.parametrize("name", BROKEN_ASYNC)
def test_async_defect_is_found(failing, name):
    """A defect of the async side alone is found by the async voice."""
    store = BROKEN_ASYNC[name]
    failures = failing(toy_plugin(MinimalStore(), store), "async", "not any_history")
    assert store.clause in failures.clauses


@pytest.mark.parametrize(
    "name", ["FoldsCase", "WriteKeepsExpiry", "ListsUnsorted", "CountsAllRemoved"]
)
def test_histories_find_defects(failing, name):
    """The comparison with a dict finds defects, too."""
    assert failing(toy_plugin(BROKEN[name]()), "sync", "any_history").tests


def test_sound_store_passes(failing):
    """The store that the broken ones are made of has no failure in the same run."""
    assert failing(toy_plugin(MinimalStore()), "sync", "test").tests == []
