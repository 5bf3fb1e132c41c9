"""Working plugins: found by metadata, imported on first use, and listed."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fibonacci
from fibonacci import MemoryConfig, PluginConflictError, PluginInfo, PluginNotFoundError, Workflow
from fibonacci._builtin import local

Install = Callable[..., Path]

SHELVES_AND_BOXES = """
from toy_shelf import ShelfBackend
from fibonacci.plugin import Cipher, hookimpl

FIBONACCI_SPEC_VERSION = 1

class BoxCipher(Cipher):
    def seal(self, plain, aad):
        return b"\\x80" + aad + plain

    def open(self, sealed, aad):
        return sealed.removeprefix(b"\\x80" + aad)

@hookimpl
def fibonacci_storage(settings):
    return ShelfBackend()

@hookimpl
def fibonacci_encryption(settings):
    return BoxCipher()
"""

GREEDY = """
from fibonacci.plugin import hookimpl

FIBONACCI_SPEC_VERSION = 1

@hookimpl(tryfirst=True)
def fibonacci_storage(settings):
    raise RuntimeError("mine")

@hookimpl(tryfirst=True)
def fibonacci_encryption(settings):
    raise RuntimeError("mine too")
"""


def listed(*, kind: str = "storage") -> dict[str, PluginInfo]:
    return {info.name: info for info in fibonacci.plugins() if info.kind == kind}


def states(*, kind: str = "storage") -> dict[str, str]:
    return {name: info.state for name, info in listed(kind=kind).items()}


def test_an_installed_backend_is_chosen_by_the_name_of_its_entry_point(install: Install):
    """The backend string is the entry point's name, and nothing else."""
    install("toy-found", storage={"shelf-1": "toy_found"}, toy_found=None)
    memory = Workflow("w", MemoryConfig("shelf-1")).memory
    memory.set("turn", [1, "é"], ttl=60)
    assert memory.get("turn") == [1, "é"]
    assert memory.append("turn", 2) == 3
    assert memory.list_keys(pattern="t*") == ["turn"]
    assert memory.delete("turn")


def test_an_entry_point_may_name_an_object_in_a_module(install: Install):
    """``module:attribute`` works too: a plugin is any object with the hook and the version."""
    source = """
from types import SimpleNamespace
import toy_object_shelf as shelf
plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=shelf.fibonacci_storage)
"""
    install(
        "toy-object",
        storage={"object": "toy_object:plugin"},
        toy_object=source,
        toy_object_shelf=None,
    )
    assert Workflow("w", MemoryConfig("object")).memory.set("k", 1)


def test_only_the_chosen_plugin_is_imported(install: Install):
    """Only the chosen plugin is imported, no other one."""
    install("toy-chosen", storage={"chosen": "toy_chosen"}, toy_chosen=None)
    install("toy-idle", storage={"idle": "toy_idle"}, toy_idle=None)
    Workflow("w", MemoryConfig("chosen")).memory.set("k", 1)
    assert "toy_chosen" in sys.modules
    assert "toy_idle" not in sys.modules


def test_one_module_may_provide_two_kinds(install: Install):
    """Each kind of a module's plugins is found by its own entry point and hook."""
    install(
        "toy-both",
        storage={"both": "toy_both"},
        encryption={"both": "toy_both"},
        toy_both=SHELVES_AND_BOXES,
        toy_shelf=None,
    )
    config = MemoryConfig("both", encrypt_values=True, encryption_key="k", encryption="both")
    memory = Workflow("w", config).memory
    memory.set("k", {"a": 1})
    assert memory.get("k") == {"a": 1}
    assert states()["both"] == "loaded"
    assert states(kind="encryption") == {"both": "loaded"}


def test_a_greedy_plugin_does_not_affect_others(install: Install):
    """A plugin that implements every hook, first, is used only under its name."""
    install("toy-greedy", storage={"greedy": "toy_greedy"}, toy_greedy=GREEDY)
    with pytest.raises(fibonacci.PluginLoadError):
        Workflow("w", MemoryConfig("greedy"))
    install("toy-modest", storage={"modest": "toy_modest"}, toy_modest=None)
    assert Workflow("w", MemoryConfig("modest")).memory.set("k", 1)
    assert Workflow("w").memory.set("k", 1)


def test_a_distribution_found_twice_on_the_path_is_one(install: Install, tmp_path: Path):
    """A copy further down the path (a checkout behind a wheel) is not a second distribution."""
    behind = tmp_path / "behind"
    install("toy-copy", storage={"copy": "toy_copy"}, toy_copy=None)
    install("toy-copy", storage={"copy": "toy_copy"}, into=behind, toy_copy=None)
    sys.path.append(str(behind))
    assert states() == {"copy": "available", "memory": states()["memory"]}
    assert Workflow("w", MemoryConfig("copy")).memory.set("k", 1)


def test_the_list_imports_no_plugin(install: Install):
    """``plugins()`` reads metadata: kind, name, distribution, version and state."""
    install("toy-listed", "2.5", storage={"listed": "toy_listed"}, toy_listed=None)
    assert listed()["listed"] == PluginInfo(
        kind="storage", name="listed", distribution="toy-listed", version="2.5", state="available"
    )
    assert "toy_listed" not in sys.modules


def test_the_list_names_each_kind_and_is_sorted(install: Install):
    """Plugins are sorted by kind, name and distribution."""
    install("toy-b", storage={"b": "toy_b", "a": "toy_b"}, encryption={"z": "toy_b"}, toy_b="")
    install("toy-a", storage={"b": "toy_a"}, toy_a="")
    listing = [(info.kind, info.name, info.distribution) for info in fibonacci.plugins()]
    ours = {"toy-a", "toy-b", None}  # whatever else this environment has installed
    assert [line for line in listing if line[2] in ours] == [
        ("encryption", "z", "toy-b"),
        ("models", "echo", None),
        ("models", "scripted", None),
        ("storage", "a", "toy-b"),
        ("storage", "b", "toy-a"),
        ("storage", "b", "toy-b"),
        ("storage", "memory", None),
        ("templating", "builtin", None),
    ]


def test_a_used_plugin_is_listed_as_loaded(install: Install):
    """The state is the outcome of the plugin's last use."""
    install("toy-used", storage={"used": "toy_used"}, toy_used=None)
    Workflow("w", MemoryConfig("used"))
    assert states()["used"] == "loaded"


def test_a_refused_setting_is_not_listed_as_a_failure(install: Install):
    """A ConfigurationError is the user's mistake, not the plugin's."""
    install("toy-strict", storage={"strict": "toy_strict"}, toy_strict=None)
    with pytest.raises(fibonacci.ConfigurationError):
        Workflow("w", MemoryConfig("strict", options={"shine": 1}))
    assert states()["strict"] == "loaded"


def test_the_default_backend_is_listed_and_needs_no_distribution():
    """The in-process store is a plugin that core registers."""
    Workflow("w")
    assert listed()["memory"] == PluginInfo(
        kind="storage", name="memory", distribution=None, version=None, state="loaded"
    )


def test_an_upgrade_at_run_time_is_seen(install: Install, site: Path):
    """After ``pip install --upgrade`` in a notebook, the new version is listed and used."""
    install("toy-mended", "1.0", storage={"mended": "toy_mended"}, toy_mended="import missing_one")
    with pytest.raises(fibonacci.PluginLoadError, match=r"toy-mended 1\.0"):
        Workflow("w", MemoryConfig("mended"))
    (site / "toy_mended-1.0.dist-info").rename(site / "gone")
    install("toy-mended", "1.1", storage={"mended": "toy_mended_too"}, toy_mended_too=None)
    assert listed()["mended"].version == "1.1"
    assert Workflow("w", MemoryConfig("mended")).memory.set("k", 1)


@pytest.mark.parametrize(
    "blocked",
    ["barred", "toy-barred", " toy-barred , redis,", "echo,barred", "Toy_Barred", "toy.barred"],
)
def test_a_plugin_can_be_blocked(install: Install, monkeypatch, blocked: str):
    """FIBONACCI_BLOCK_PLUGINS takes names of plugins and of distributions, separated by commas."""
    install("toy-barred", storage={"barred": "toy_barred"}, toy_barred=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", blocked)
    with pytest.raises(PluginNotFoundError) as caught:
        Workflow("w", MemoryConfig("barred"))
    assert str(caught.value) == (
        "storage backend 'barred' is blocked by FIBONACCI_BLOCK_PLUGINS. Installed: memory."
    )
    assert states()["barred"] == "blocked"
    assert "toy_barred" not in sys.modules


@pytest.mark.parametrize(
    ("blocked", "message"),
    [
        ("sqlite;redis", "names 'sqlite;redis': no plugin here has such a name"),
        ("fibonacci-reddis, echo", "Did you mean 'fibonacci-redis'?"),
        (" , ", "names nothing: no plugin"),
    ],
)
def test_a_blocked_name_without_effect_is_a_warning(monkeypatch, blocked: str, message: str):
    """A blocked name that is unknown or misspelt is a warning with the variable's name, once."""
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", blocked)
    with pytest.warns(UserWarning, match="FIBONACCI_BLOCK_PLUGINS names") as caught:
        Workflow("w")
    assert message in str(caught[0].message)
    assert len(caught) == 1
    Workflow("w")
    fibonacci.plugins()


@pytest.mark.parametrize("name", ["memory", "ours"])
def test_plugins_without_a_distribution_can_be_blocked(monkeypatch, name: str):
    """A built-in or registered plugin is blocked by its name."""
    with fibonacci.register_plugin("storage", "ours", local):
        monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", name)
        with pytest.raises(PluginNotFoundError, match="is blocked by FIBONACCI_BLOCK_PLUGINS"):
            Workflow("w", MemoryConfig(name))
        assert states()[name] == "blocked"


def test_blocking_is_read_on_each_use(install: Install, monkeypatch):
    """A plugin that is no longer blocked works at once."""
    install("toy-freed", storage={"freed": "toy_freed"}, toy_freed=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", "freed")
    assert states()["freed"] == "blocked"
    monkeypatch.delenv("FIBONACCI_BLOCK_PLUGINS")
    assert Workflow("w", MemoryConfig("freed")).memory.set("k", 1)


def test_blocking_one_of_two_distributions_resolves_their_conflict(install: Install, monkeypatch):
    """Of two distributions with one name, the one that is not blocked is used."""
    install("toy-left", storage={"side": "toy_left"}, toy_left=None)
    install("toy-right", storage={"side": "toy_right"}, toy_right=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", "toy-left")
    assert Workflow("w", MemoryConfig("side")).memory.set("k", 1)
    both = {info.distribution: info.state for info in fibonacci.plugins() if info.name == "side"}
    assert both == {"toy-left": "blocked", "toy-right": "loaded"}


def test_blocking_all_of_a_name_leaves_none(install: Install, monkeypatch):
    """A blocked name is blocked in every distribution."""
    install("toy-up", storage={"upside": "toy_up"}, toy_up=None)
    install("toy-down", storage={"upside": "toy_down"}, toy_down=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", "upside")
    with pytest.raises(PluginNotFoundError, match="is blocked by FIBONACCI_BLOCK_PLUGINS"):
        Workflow("w", MemoryConfig("upside"))


def test_a_plugin_without_a_name_is_listed(install: Install):
    """An entry point with an empty name is listed, and can be neither used nor blocked."""
    install("toy-nameless", storage={"": "toy_nameless"}, toy_nameless=None)
    assert states()[""] == "available"
    with pytest.raises(fibonacci.ConfigurationError, match="backend must be"):
        MemoryConfig("")
    assert Workflow("w").memory.set("k", 1)


@pytest.mark.parametrize(
    "name",
    ["../../etc", "a b", "'; drop", "{x}", "%s%n", "é", "A" * 5_000, "_private", "__init__", "[x]"],
)
def test_an_odd_name_is_plain_text(install: Install, name: str):
    """A plugin's name is compared as text, and neither formatted nor resolved."""
    distribution = f"toy-odd-{abs(hash(name))}"
    install(distribution, storage={name: "toy_odd"}, toy_odd=None)
    if not name.startswith("["):  # in entry_points.txt this would begin a section
        assert Workflow("w", MemoryConfig(name)).memory.set("k", 1)
    with pytest.raises(PluginNotFoundError):
        Workflow("w", MemoryConfig("surely-not-there"))
    assert Workflow("w").memory.set("k", 1)


def test_two_distributions_of_one_name_are_a_conflict_that_names_both(install: Install):
    """Two distributions of one name are an error that names both; none is guessed."""
    install("toy-one", "1.0", storage={"twin": "toy_one"}, toy_one=None)
    install("toy-two", "2.0", storage={"twin": "toy_two"}, toy_two=None)
    with pytest.raises(PluginConflictError) as caught:
        Workflow("w", MemoryConfig("twin"))
    assert str(caught.value) == (
        "backend 'twin' is provided by two distributions: toy-one 1.0, toy-two 2.0. "
        "Uninstall one, or name it in FIBONACCI_BLOCK_PLUGINS"
    )
    assert [info.state for info in fibonacci.plugins() if info.name == "twin"] == ["conflict"] * 2
    assert Workflow("w").memory.set("k", 1)


def test_three_distributions_of_one_name_are_counted(install: Install):
    """The message counts three distributions of one name, and names all."""
    for number in ("one", "two", "three"):
        install(f"toy-of-3-{number}", storage={"triplet": "toy_triplet"}, toy_triplet=None)
    with pytest.raises(
        PluginConflictError,
        match=r"by 3 distributions: toy-of-3-one 1\.0, toy-of-3-three 1\.0, toy-of-3-two 1\.0\.",
    ):
        Workflow("w", MemoryConfig("triplet"))


def test_an_installed_plugin_can_not_take_the_name_of_the_default_one(install: Install):
    """A registered plugin takes precedence over an installed one."""
    install("toy-usurper", storage={"memory": "toy_usurper"}, toy_usurper="raise SystemExit")
    assert Workflow("w").memory.set("k", 1)
