"""The API key and the URL: validated before any work, and never quoted."""

import json
from pathlib import Path

import pytest

from fibonacci import ConfigurationError, LLMNode, ModelError, Workflow, plugins
from fibonacci.plugin import ModelRequest, ModelSettings
from fibonacci_anthropic import AnthropicModel, fibonacci_model

from .conftest import KEY
from .fake_service import FakeService, response

HI = ModelRequest(prompt="Hi")
KEY_PROBLEM = "(contains|is in quotes)"


def make(model: str = "claude-x") -> AnthropicModel:
    return fibonacci_model(ModelSettings(model=model))


@pytest.mark.parametrize("name", ["claude-x", "anthropic:claude-x", "anthropic:other"])
def test_workflow_finds_the_model_by_name(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A model name that starts with claude- or anthropic: selects this plugin."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    service.add_replies(response("yes"))
    with Workflow("w") as workflow:
        workflow.add_node(LLMNode("n", name, "Hi"))
        assert workflow.execute()["n"] == "yes"
    assert service.requests[0].body["model"] == name.removeprefix("anthropic:")
    assert {"claude-", "anthropic"} <= {info.name for info in plugins() if info.kind == "models"}


def test_missing_key_is_reported_before_any_node_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an API key no node runs; the error names two fixes."""
    done: list[str] = []
    workflow = Workflow("w")
    workflow.add_node(LLMNode("first", lambda _: done.append("x") or "x", "Hi"))
    workflow.add_node(LLMNode("n", "claude-x", "Hi", dependencies=["first"]))
    for call in (workflow.validate, workflow.execute):
        with pytest.raises(
            ConfigurationError, match=r"Set ANTHROPIC_API_KEY, or pass one: .*api_key="
        ):
            call()
    assert not done


@pytest.mark.parametrize("key", ["", None])
def test_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """An empty variable or argument is no key; the argument is not replaced by the variable."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "" if key is None else KEY)
    with pytest.raises(ConfigurationError, match="no API key"):
        AnthropicModel("claude-x", api_key=key)


def test_auth_token_is_used_without_a_key(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ANTHROPIC_AUTH_TOKEN is used if there is no API key."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-1234567890")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    service.add_replies(response("yes"), response("yes"))
    make().complete(HI)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    make().complete(HI)
    sent = [received.headers["authorization"] for received in service.requests]
    assert sent == ["Bearer token-1234567890", f"Bearer {KEY}"]


def test_sdk_profile_is_used_without_a_key(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a key the SDK's own credentials are used, here a profile on disk."""
    folder = tmp_path / "profiles"
    write_profile(folder, monkeypatch)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", service.url)
    service.add_replies(response("yes"))
    assert make().complete(HI).text == "yes"
    assert service.requests[0].headers["authorization"] == "Bearer profile-token"


def test_removed_profile_raises_a_permanent_error(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile removed after the model was created raises a ModelError that is not retryable."""
    folder = tmp_path / "profiles"
    write_profile(folder, monkeypatch)
    model = AnthropicModel("claude-x", base_url=service.url)
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


def test_broken_profile_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unusable SDK profile raises ConfigurationError when the model is created."""
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
def test_malformed_key_is_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    """A key with characters or quotes that no key has is refused, and not quoted."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", bad)
    with pytest.raises(ConfigurationError, match=rf"ANTHROPIC_API_KEY {KEY_PROBLEM}") as caught:
        make()
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match=rf"api_key {KEY_PROBLEM}"):
        AnthropicModel("claude-x", api_key=bad)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://gateway\n", "contains a space, a line break"),
        ("'https://gateway'", "is in quotes"),
        ("https://${GATEWAY}", "contains the name of a variable"),
    ],
)
def test_url_with_shell_leftovers_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    """The error for a URL in quotes or with a variable's name names the setting."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(ConfigurationError, match=f"ANTHROPIC_BASE_URL {reason}"):
        make()


@pytest.mark.parametrize(
    ("host", "reason"),
    [("a" * 64, "is too long"), ("a..b", "has an empty part"), ("<gateway>", "may contain only")],
)
def test_invalid_host_is_refused(host: str, reason: str) -> None:
    """A host name that can't be resolved is refused without a lookup."""
    with pytest.raises(ConfigurationError, match=f"the host in base_url {reason}"):
        AnthropicModel("claude-x", api_key=KEY, base_url=f"https://{host}/v1")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("claude-x:latest", "leave :latest out of the model's name"),
        ("anthropic:claude-x:latest", "leave :latest out of the model's name"),
        ("claude-x\n", "the model's name contains a space, a line break"),
        ("anthropic:'claude-x'", "the model's name is in quotes"),
    ],
)
def test_malformed_model_name_is_refused(name: str, reason: str) -> None:
    """A model name with a tag, quotes or a line end is refused."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", name, "Hi"))
    with pytest.raises(ConfigurationError, match=reason):
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
def test_invalid_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A URL that is not http or https is refused when the model is created."""
    reason = "contains a space" if " " in url else "is not an http or https URL"
    with pytest.raises(ConfigurationError, match=f"base_url {reason}"):
        AnthropicModel("claude-x", api_key=KEY, base_url=url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match=f"ANTHROPIC_BASE_URL {reason}"):
        make()


def test_url_with_credentials_is_refused_and_not_quoted() -> None:
    """A URL with a password is refused, as it would replace the key, and is not quoted."""
    with pytest.raises(ConfigurationError, match="base_url must not contain a user name") as caught:
        AnthropicModel("claude-x", api_key=KEY, base_url="https://u:hunter2@gateway")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["anthropic", "anthropic:", "claude-"])
def test_name_without_a_model_is_refused(name: str) -> None:
    """A provider prefix without a model name is refused."""
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", name, "Hi"))
    with pytest.raises(ConfigurationError, match="name a model"):
        workflow.validate()


def test_temperature_is_refused_before_any_node_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with a temperature is refused before anything runs, as the API takes none."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    workflow = Workflow("w")
    workflow.add_node(LLMNode("n", "claude-x", "Hi", temperature=0.5))
    with pytest.raises(ValueError, match="does not support temperature"):
        workflow.validate()


def test_reprs_do_not_show_the_key() -> None:
    """No repr of an object that holds the key shows it."""
    model = AnthropicModel("claude-x", api_key=KEY)
    assert repr(model) == "AnthropicModel('claude-x')"
    assert KEY not in f"{model!r} {model._credentials!r} {model._clients!r}"
