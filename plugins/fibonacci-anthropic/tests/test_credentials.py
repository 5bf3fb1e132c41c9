"""The key and the address: looked for before any work, and never told."""

import json
from pathlib import Path

import pytest

from fibonacci import ConfigurationError, LLMNode, ModelError, Workflow, plugins
from fibonacci.plugin import ModelRequest, ModelSettings
from fibonacci_anthropic import AnthropicModel, fibonacci_model

from .conftest import KEY
from .wire import Wire, answer

HI = ModelRequest(prompt="Hi")
KEY_PROBLEM = "(contains|holds|stands)"


def make(model: str = "claude-x") -> AnthropicModel:
    return fibonacci_model(ModelSettings(model=model))


@pytest.mark.parametrize("name", ["claude-x", "anthropic:claude-x", "anthropic:other"])
def test_a_workflow_finds_it_by_name(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A name that starts with claude- is enough; anthropic: takes any."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", wire.url)
    wire.plays(answer("yes"))
    with Workflow("w") as workflow:
        workflow.add_node(LLMNode("n", name, "Hi"))
        assert workflow.execute()["n"] == "yes"
    assert wire.asked[0].body["model"] == name.removeprefix("anthropic:")
    assert {"claude-", "anthropic"} <= {info.name for info in plugins() if info.kind == "models"}


def test_without_a_key_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing key is told before any work, with two ways to mend it."""
    done: list[str] = []
    workflow = Workflow("w")
    workflow.add_node(LLMNode("first", lambda _: done.append("x") or "x", "Hi"))
    workflow.add_node(LLMNode("n", "claude-x", "Hi", dependencies=["first"]))
    for begin in (workflow.validate, workflow.execute):
        with pytest.raises(
            ConfigurationError, match=r"Set ANTHROPIC_API_KEY, or pass one: .*api_key="
        ):
            begin()
    assert not done


@pytest.mark.parametrize("key", ["", None])
def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """An empty variable, and an empty argument, are no key; an argument is not filled up."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "" if key is None else KEY)
    with pytest.raises(ConfigurationError, match="no API key"):
        AnthropicModel("claude-x", api_key=key)


def test_a_token_in_the_place_of_a_key(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's other variable is heeded where there is no key."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-1234567890")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", wire.url)
    wire.plays(answer("yes"), answer("yes"))
    make().complete(HI)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    make().complete(HI)
    sent = [asked.headers["authorization"] for asked in wire.asked]
    assert sent == ["Bearer token-1234567890", f"Bearer {KEY}"]


def test_a_profile_of_the_sdk(wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a key, whatever else the SDK finds is used: here a profile on disk."""
    folder = tmp_path / "profiles"
    write_profile(folder, monkeypatch)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", wire.url)
    wire.plays(answer("yes"))
    assert make().complete(HI).text == "yes"
    assert wire.asked[0].headers["authorization"] == "Bearer profile-token"


def test_a_profile_that_is_taken_away(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the SDK can't log in with any more is an error of ours, which waiting does not mend."""
    folder = tmp_path / "profiles"
    write_profile(folder, monkeypatch)
    model = AnthropicModel("claude-x", base_url=wire.url)
    (folder / "credentials" / "mine.json").unlink()
    with pytest.raises(ModelError, match="the SDK got no credentials: ") as caught:
        model.complete(HI)
    assert not caught.value.retryable


def write_profile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(folder))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "mine")
    for part, content in PROFILE.items():
        path = folder / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        path.chmod(0o600)


PROFILE = {
    "configs/mine.json": {"authentication": {"type": "user_oauth"}},
    "credentials/mine.json": {"access_token": "profile-token", "expires_at": 9_999_999_999},
}


def test_a_profile_that_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile that is named and can't be used is told when the model is made."""
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nowhere")
    with pytest.raises(ConfigurationError, match=r"profile or identity can't be used"):
        make()


@pytest.mark.parametrize(
    "bad",
    [
        f"{KEY}\n",
        f"{KEY} x",
        f"\x7f{KEY}",
        f"{KEY}é",
        f'"{KEY}"',
        f"'{KEY}'",
        "${ANTHROPIC_API_KEY}",
        "$ANTHROPIC_API_KEY",
    ],
)
def test_a_key_that_is_none(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    """What can't stand in a header, or what a shell left around it, is refused, and not quoted."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", bad)
    with pytest.raises(ConfigurationError, match=rf"ANTHROPIC_API_KEY {KEY_PROBLEM}") as caught:
        make()
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match=rf"api_key {KEY_PROBLEM}"):
        AnthropicModel("claude-x", api_key=bad)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://gateway\n", "contains a space, a line break"),
        ("'https://gateway'", "stands in quotes"),
        ("https://${GATEWAY}", "holds the name of a variable"),
    ],
)
def test_an_address_that_a_shell_left_something_around(
    monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    """The variable is named."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(ConfigurationError, match=f"ANTHROPIC_BASE_URL {told}"):
        make()


@pytest.mark.parametrize(
    ("host", "told"),
    [("a" * 64, "is too long"), ("a..b", "has an empty part"), ("<gateway>", "may hold letters")],
)
def test_a_host_that_nobody_can_find(host: str, told: str) -> None:
    """What no look-up can find is refused before one is made."""
    with pytest.raises(ConfigurationError, match=f"the host in base_url {told}"):
        AnthropicModel("claude-x", api_key=KEY, base_url=f"https://{host}/v1")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("claude-x:latest", "leave :latest out of the model's name"),
        ("anthropic:claude-x:latest", "leave :latest out of the model's name"),
        ("claude-x\n", "the model's name contains a space, a line break"),
        ("anthropic:'claude-x'", "the model's name stands in quotes"),
    ],
)
def test_a_name_that_no_model_has(name: str, told: str) -> None:
    """Ollama's models have tags, and what comes from a variable may have more around it."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", name, "Hi"))
    with pytest.raises(ConfigurationError, match=told):
        workflow.validate()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.anthropic.com",
        "ftp://x",
        "http://",
        "http://[::1",
        "http://x:99999",
        "//x",
        "http://x/?a",
        " http://x",
        "http://x y",
    ],
)
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """An address that is no http or https URL is refused when the model is made."""
    told = "contains a space" if " " in url else "is not an http or https URL"
    with pytest.raises(ConfigurationError, match=f"base_url {told}"):
        AnthropicModel("claude-x", api_key=KEY, base_url=url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match=f"ANTHROPIC_BASE_URL {told}"):
        make()


def test_a_password_in_the_address() -> None:
    """It would go out in the place of the key; it is refused, and not quoted."""
    with pytest.raises(ConfigurationError, match="base_url must not contain a user name") as caught:
        AnthropicModel("claude-x", api_key=KEY, base_url="https://u:hunter2@gateway")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["anthropic", "anthropic:", "claude-"])
def test_a_name_that_names_no_model(name: str) -> None:
    """The provider alone is no model."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", name, "Hi"))
    with pytest.raises(ConfigurationError, match="name a model"):
        workflow.validate()


def test_a_temperature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API takes none, so a node that sets one is refused before anything runs."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", "claude-x", "Hi", temperature=0.5))
    with pytest.raises(ValueError, match="does not take temperature"):
        workflow.validate()


def test_nothing_shows_the_key() -> None:
    """No repr of what holds it has it."""
    model = AnthropicModel("claude-x", api_key=KEY)
    assert repr(model) == "AnthropicModel('claude-x')"
    assert KEY not in f"{model!r} {model._credentials!r} {model._clients!r}"
