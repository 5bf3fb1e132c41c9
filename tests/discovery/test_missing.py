"""Names that nothing answers to: what the errors say, to the letter."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fibonacci import LLMNode, MemoryConfig, PluginError, PluginNotFoundError, Workflow

Install = Callable[..., Path]


def refusal(config: MemoryConfig) -> str:
    with pytest.raises(PluginNotFoundError) as caught:
        Workflow("w", config)
    assert isinstance(caught.value, PluginError)
    return str(caught.value)


def sealed(name: str) -> MemoryConfig:
    return MemoryConfig(encrypt_values=True, encryption_key="key", encryption=name)


def test_a_known_backend_that_is_missing_comes_with_its_install_line(install: Install):
    """The promised text, with what is installed."""
    install("toy-sqlite", storage={"sqlite": "toy_sqlite"}, toy_sqlite=None)
    assert refusal(MemoryConfig("redis", "redis://localhost")) == (
        "storage backend 'redis' is not installed. "
        "Install it: pip install 'fibonacci-core[redis]'. Installed: memory, sqlite."
    )


@pytest.mark.parametrize("name", ["redis", "postgres", "dynamodb", "sqlite"])
def test_each_backend_that_we_publish_is_known(name: str):
    """The extra has the backend's name."""
    assert refusal(MemoryConfig(name)) == (
        f"storage backend {name!r} is not installed. "
        f"Install it: pip install 'fibonacci-core[{name}]'. Installed: memory."
    )


def test_encryption_that_is_missing_comes_with_its_install_line():
    """The default cipher is in the extra ``crypto``."""
    assert refusal(sealed("aes-256-gcm")) == (
        "encryption 'aes-256-gcm' is not installed. "
        "Install it: pip install 'fibonacci-core[crypto]'. Installed: none."
    )


@pytest.mark.parametrize(
    ("model", "provider"), [("claude-sonnet-4-5", "claude-"), ("anthropic:claude-x", "anthropic")]
)
def test_a_provider_that_is_missing_comes_with_its_install_line(model: str, provider: str):
    """A claimed prefix and a provider's name are both in the extra ``anthropic``."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", model, "x"))
    with pytest.raises(PluginNotFoundError) as caught:
        workflow.validate()
    assert str(caught.value) == (
        f"model provider {provider!r} is not installed. "
        "Install it: pip install 'fibonacci-core[anthropic]'. Installed: echo, scripted."
    )


def test_a_misspelt_name_is_corrected():
    """The promised text, also for a backend that is not installed."""
    assert (
        refusal(MemoryConfig("postgras"))
        == "unknown storage backend 'postgras'. Did you mean 'postgres'?"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [("memry", "memory"), ("Redis", "redis"), ("redis ", "redis"), ("dynamo", "dynamodb")],
)
def test_the_nearest_name_is_meant(written: str, meant: str):
    """Installed or known, in another case or with a space: what is near is named."""
    assert (
        refusal(MemoryConfig(written))
        == f"unknown storage backend {written!r}. Did you mean {meant!r}?"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("valkey", "redis"),
        ("rediss", "redis"),
        ("pg", "postgres"),
        ("postgresql", "postgres"),
        ("PSQL", "postgres"),
        ("POSTGRES", "postgres"),
        ("dynamo", "dynamodb"),
        ("sqlite3", "sqlite"),
        ("in-memory", "memory"),
    ],
)
def test_other_tools_names_are_known(written: str, meant: str):
    """What other tools call a backend names ours."""
    assert (
        refusal(MemoryConfig(written))
        == f"unknown storage backend {written!r}. Did you mean {meant!r}?"
    )


@pytest.mark.parametrize("name", ["mongodb", "mysql", "cassandra", "firestore"])
def test_a_store_that_there_is_no_backend_for_comes_with_those_that_there_are(name: str):
    """No other store is guessed."""
    assert refusal(MemoryConfig(name)) == f"unknown storage backend {name!r}. Installed: memory."


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gpt-4o", "Installed: echo, scripted."),
        ("openai/gpt-4o", "Installed: echo, scripted."),
        ("anthropic/claude-x", "Did you mean 'anthropic:claude-x'?"),
        (
            "bedrock/anthropic.claude-x",
            "write claude-sonnet-5-5, or anthropic: followed by a model's name",
        ),
        (
            "us.anthropic.claude-x-v2:0",
            "write claude-sonnet-5-5, or anthropic: followed by a model's name",
        ),
        ("openrouter:anthropic/claude-x", "Installed: echo, scripted."),
    ],
)
def test_other_tools_names_of_models_are_known(model: str, told: str):
    """A model's name in the form of another library leads to ours, or to what is installed."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", model, "x"))
    with pytest.raises(PluginNotFoundError, match="unknown model provider") as caught:
        workflow.validate()
    assert told in str(caught.value)


def test_a_misspelt_name_of_a_third_party_plugin_is_corrected(install: Install):
    """What is installed is known as well as what we publish."""
    install("toy-cupboard", storage={"cupboard": "toy_cupboard"}, toy_cupboard=None)
    assert (
        refusal(MemoryConfig("cubpoard"))
        == "unknown storage backend 'cubpoard'. Did you mean 'cupboard'?"
    )


def test_a_misspelt_cipher_is_corrected():
    """Ciphers are known by name too."""
    assert refusal(sealed("aes-gcm-256")) == (
        "unknown encryption 'aes-gcm-256'. Did you mean 'aes-256-gcm'?"
    )


def test_a_name_that_is_near_nothing_comes_with_what_is_installed():
    """Without a guess, the list helps."""
    assert refusal(MemoryConfig("zzz")) == "unknown storage backend 'zzz'. Installed: memory."


def test_a_backend_is_no_cipher(install: Install):
    """Each kind has names of its own."""
    install("toy-kinds", storage={"kinds": "toy_kinds"}, toy_kinds=None)
    assert refusal(sealed("kinds")) == "unknown encryption 'kinds'. Installed: none."


def test_what_is_blocked_is_not_told_as_installed(install: Install, monkeypatch):
    """The list holds what can be used."""
    install("toy-hidden", storage={"hidden": "toy_hidden"}, toy_hidden=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", "hidden")
    assert refusal(MemoryConfig("zzz")) == "unknown storage backend 'zzz'. Installed: memory."


def test_a_huge_name_is_refused_in_time():
    """70,000 characters are compared with the known names all the same."""
    assert "unknown storage backend" in refusal(MemoryConfig("redis" * 14_000))
