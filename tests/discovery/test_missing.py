"""Unknown names: the exact texts of the errors."""

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


def test_error_about_a_missing_backend_has_its_install_command(install: Install):
    """The error about a known backend has the documented text, and what is installed."""
    install("toy-sqlite", storage={"sqlite": "toy_sqlite"}, toy_sqlite=None)
    assert refusal(MemoryConfig("redis", "redis://localhost")) == (
        "storage backend 'redis' is not installed. "
        "Install it: pip install 'fibonacci-core[redis]'. Installed: memory, sqlite."
    )


@pytest.mark.parametrize("name", ["redis", "postgres", "dynamodb", "sqlite"])
def test_each_published_backend_is_known(name: str):
    """The extra of each published backend has the backend's name."""
    assert refusal(MemoryConfig(name)) == (
        f"storage backend {name!r} is not installed. "
        f"Install it: pip install 'fibonacci-core[{name}]'. Installed: memory."
    )


def test_error_about_a_missing_cipher_has_its_install_command():
    """The error about a missing cipher names the extra ``crypto``."""
    assert refusal(sealed("aes-256-gcm")) == (
        "encryption 'aes-256-gcm' is not installed. "
        "Install it: pip install 'fibonacci-core[crypto]'. Installed: none."
    )


@pytest.mark.parametrize(
    ("model", "provider"), [("claude-sonnet-4-5", "claude-"), ("anthropic:claude-x", "anthropic")]
)
def test_error_about_a_missing_provider_has_its_install_command(model: str, provider: str):
    """A claimed prefix and a provider's name both lead to the extra ``anthropic``."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", model, "x"))
    with pytest.raises(PluginNotFoundError) as caught:
        workflow.validate()
    assert str(caught.value) == (
        f"model provider {provider!r} is not installed. "
        "Install it: pip install 'fibonacci-core[anthropic]'. Installed: echo, scripted."
    )


def test_a_misspelt_name_gets_a_suggestion():
    """The error has the documented text, also for a backend that is not installed."""
    assert (
        refusal(MemoryConfig("postgras"))
        == "unknown storage backend 'postgras'. Did you mean 'postgres'?"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [("memry", "memory"), ("Redis", "redis"), ("redis ", "redis"), ("dynamo", "dynamodb")],
)
def test_the_nearest_name_is_suggested(written: str, meant: str):
    """The nearest installed or known name is suggested, also if case or spaces differ."""
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
def test_names_in_other_tools_are_known(written: str, meant: str):
    """What other tools call a backend leads to ours."""
    assert (
        refusal(MemoryConfig(written))
        == f"unknown storage backend {written!r}. Did you mean {meant!r}?"
    )


@pytest.mark.parametrize("name", ["mongodb", "mysql", "cassandra", "firestore"])
def test_a_store_without_a_backend_lists_the_backends(name: str):
    """An unsupported store gets no guess, but the list of backends."""
    assert refusal(MemoryConfig(name)) == f"unknown storage backend {name!r}. Installed: memory."


@pytest.mark.parametrize(
    ("model", "message"),
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
def test_model_names_in_other_tools_are_known(model: str, message: str):
    """A model's name in another library's form leads to ours, or to what is installed."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", model, "x"))
    with pytest.raises(PluginNotFoundError, match="unknown model provider") as caught:
        workflow.validate()
    assert message in str(caught.value)


def test_a_misspelt_third_party_name_gets_a_suggestion(install: Install):
    """Installed third-party plugins are suggested, as published ones are."""
    install("toy-cupboard", storage={"cupboard": "toy_cupboard"}, toy_cupboard=None)
    assert (
        refusal(MemoryConfig("cubpoard"))
        == "unknown storage backend 'cubpoard'. Did you mean 'cupboard'?"
    )


def test_a_misspelt_cipher_gets_a_suggestion():
    """Ciphers are suggested by name too."""
    assert refusal(sealed("aes-gcm-256")) == (
        "unknown encryption 'aes-gcm-256'. Did you mean 'aes-256-gcm'?"
    )


def test_an_unknown_name_lists_what_is_installed():
    """The error about a name that is near no other lists what is installed."""
    assert refusal(MemoryConfig("zzz")) == "unknown storage backend 'zzz'. Installed: memory."


def test_a_backend_is_no_cipher(install: Install):
    """Each kind has its own names."""
    install("toy-kinds", storage={"kinds": "toy_kinds"}, toy_kinds=None)
    assert refusal(sealed("kinds")) == "unknown encryption 'kinds'. Installed: none."


def test_blocked_plugins_are_not_listed(install: Install, monkeypatch):
    """The list of the error has only plugins that can be used."""
    install("toy-hidden", storage={"hidden": "toy_hidden"}, toy_hidden=None)
    monkeypatch.setenv("FIBONACCI_BLOCK_PLUGINS", "hidden")
    assert refusal(MemoryConfig("zzz")) == "unknown storage backend 'zzz'. Installed: memory."


def test_a_huge_name_is_refused_in_time():
    """A name of 70,000 characters is compared with the known names in time."""
    assert "unknown storage backend" in refusal(MemoryConfig("redis" * 14_000))
