"""MemoryConfig: every field is checked, every message teaches, no secret shows."""

import collections
import math
import os
import types
from typing import Any

import attrs
import pytest

from fibonacci import (
    NO_EXPIRY,
    ConfigurationError,
    FibonacciError,
    MemoryConfig,
    PluginNotFoundError,
    Workflow,
    register_plugin,
)
from fibonacci._builtin.local import LocalBackend, LocalStore
from fibonacci.plugin import Backend, StoreSettings, hookimpl

CANARY = "canary-3f9a"

untyped: Any = MemoryConfig
"""For what a type checker would refuse."""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set, unless the test sets it."""
    for name in list(os.environ):
        if name.startswith("FIBONACCI_"):
            monkeypatch.delenv(name)


def refusal(**fields: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig(**fields)
    return str(caught.value)


def test_the_defaults_are_the_references():
    """The six fields of the reference, in its order, with its defaults."""
    assert [
        (field.name, getattr(MemoryConfig(), field.name))
        for field in attrs.fields(MemoryConfig)[:6]
    ] == [
        ("backend", "memory"),
        ("connection_url", None),
        ("key_prefix", "fibonacci:"),
        ("default_ttl", None),
        ("encryption_key", None),
        ("encrypt_values", False),
    ]


def test_our_own_defaults():
    """What the reference does not have."""
    config = MemoryConfig()
    assert (config.organization_id, config.timeout, config.options) == (None, 5.0, {})
    assert (config.encryption, config.plaintext_reads) == ("aes-256-gcm", "refuse")


def test_the_six_may_stand_by_position():
    """In the reference's order."""
    config = MemoryConfig("redis", "redis://h", "p:", 60, "key", True)
    assert config == MemoryConfig(
        backend="redis",
        connection_url="redis://h",
        key_prefix="p:",
        default_ttl=60,
        encryption_key="key",
        encrypt_values=True,
    )


def test_a_seventh_by_position_is_an_error():
    """Ours stand by name alone."""
    with pytest.raises(TypeError):
        untyped("memory", None, "p:", 60, "key", False, "acme")


@pytest.mark.parametrize("name", ["backnd", "url", "ttl", "Backend", "organisation_id"])
def test_a_misspelt_argument_is_pythons_own_error(name: str):
    """TypeError with the name in it."""
    with pytest.raises(TypeError, match=name):
        untyped(**{name: "x"})


def test_a_config_can_not_be_changed():
    """It is checked once; ``attrs.evolve`` makes another, checked as well."""
    config = untyped()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.backend = "redis"
    assert attrs.evolve(config, timeout=1).timeout == 1
    with pytest.raises(ConfigurationError):
        attrs.evolve(config, timeout=0)


def test_a_config_error_is_a_value_error():
    """C23 and the tree: one of ours, and one of Python's."""
    with pytest.raises(ValueError, match="timeout"):
        MemoryConfig(timeout=-1)


WRONG: list[tuple[str, Any, tuple[str, ...]]] = [
    ("backend", "", ("backend must be a backend's name", "'memory'", "it is empty")),
    ("backend", None, ("backend must be", "or a Store", "it is None")),
    ("backend", 5, ("it is a int",)),
    ("backend", b"redis", ("it is a bytes",)),
    ("backend", ["redis"], ("it is a list",)),
    ("backend", LocalStore, ("a Store", "it is a ABCMeta")),
    ("connection_url", "", ("connection_url must be a URL such as redis://", "it is empty")),
    ("connection_url", 6379, ("connection_url must be a URL", "it is a int")),
    ("connection_url", b"redis://h", ("it is a bytes",)),
    ("connection_url", ["redis://h"], ("it is a list",)),
    ("key_prefix", None, ("key_prefix must be text; it is None",)),
    ("key_prefix", 5, ("it is a int",)),
    ("key_prefix", b"p", ("it is a bytes",)),
    ("key_prefix", "a b", ("key_prefix may not hold ' '", "printable ASCII without spaces")),
    ("key_prefix", "a\n", ("key_prefix may not hold '\\n'",)),
    ("key_prefix", "a\0", ("key_prefix may not hold '\\x00'",)),
    ("key_prefix", "é:", ("key_prefix may not hold 'é'",)),
    ("key_prefix", "\ud800", ("key_prefix may not hold '\\ud800'",)),
    ("key_prefix", "\x7f", ("key_prefix may not hold '\\x7f'",)),
    *(("key_prefix", f"a{c}b", (f"may not hold {c!r}", "{}*?[]\\%")) for c in "{}*?[]\\%"),
    ("key_prefix", "x" * 129, ("key_prefix has 129 characters; it may have 128",)),
    ("key_prefix", "x" * 70_000, ("key_prefix has 70000 characters; it may have 128",)),
    ("default_ttl", 0, ("default_ttl must be over 0 and at most 100 years",)),
    ("default_ttl", -1, ("default_ttl must be over 0",)),
    ("default_ttl", True, ("default_ttl must be a number of seconds or NO_EXPIRY, not bool",)),
    ("default_ttl", "60", ("default_ttl must be a number of seconds", "not str")),
    ("default_ttl", math.nan, ("default_ttl must be over 0",)),
    ("default_ttl", math.inf, ("default_ttl must be over 0",)),
    ("default_ttl", 3_155_760_001, ("at most 100 years (3155760000 seconds)",)),
    ("default_ttl", 10**5_000, ("default_ttl must be over 0 and at most 100 years",)),
    ("default_ttl", [60], ("not list",)),
    ("encryption_key", "", ("encryption_key must be text, or a list of texts", "empty")),
    ("encryption_key", b"key", ("encryption_key must be text",)),
    ("encryption_key", 5, ("the first seals and all open",)),
    ("encryption_key", [], ("encryption_key must be text, or a list",)),
    ("encryption_key", ["a", ""], ("none of them empty",)),
    ("encryption_key", ["a", None], ("encryption_key must be text",)),
    ("encryption_key", ["a", b"b"], ("encryption_key must be text",)),
    ("encryption_key", {"a": 1}, ("encryption_key must be text",)),
    ("encryption_key", {"a"}, ("encryption_key must be text",)),
    ("encryption_key", True, ("encryption_key must be text",)),
    ("encrypt_values", 1, ("encrypt_values must be True or False; it is a int",)),
    ("encrypt_values", "yes", ("encrypt_values must be True or False; it is a str",)),
    ("encrypt_values", None, ("encrypt_values must be True or False; it is None",)),
    ("organization_id", "", ("organization_id is empty",)),
    ("organization_id", 5, ("organization_id must be text, not int",)),
    ("organization_id", b"o", ("organization_id must be text, not bytes",)),
    ("organization_id", "a\0", ("organization_id has a NUL character",)),
    ("organization_id", "\ud800", ("organization_id has half of a surrogate pair",)),
    ("organization_id", "o" * 1_001, ("organization_id has 1,001 bytes",)),
    ("timeout", 0, ("timeout must be a number of seconds", "over 0")),
    ("timeout", -1.5, ("timeout must be a number of seconds", "over 0")),
    ("timeout", None, ("timeout must be a number", "it is None")),
    ("timeout", True, ("timeout must be a number", "it is a bool")),
    ("timeout", "5", ("timeout must be a number", "it is a str")),
    ("timeout", math.nan, ("timeout must be a number",)),
    ("timeout", math.inf, ("timeout must be a number",)),
    ("timeout", 86_401, ("timeout must be a number of seconds", "at most 86,400")),
    ("timeout", 10**400, ("timeout must be a number of seconds", "at most 86,400")),
    ("options", None, ("options must be a dict of the backend's options by name; it is None",)),
    ("options", [("a", 1)], ("options must be a dict", "it is a list")),
    ("options", "a=1", ("options must be a dict", "it is a str")),
    ("options", {1: 2}, ("options must be a dict of the backend's options by name",)),
    ("encryption", "", ("encryption must be a cipher's name, such as 'aes-256-gcm'; it is empty",)),
    ("encryption", None, ("encryption must be a cipher's name", "it is None")),
    ("encryption", True, ("encryption must be a cipher's name", "it is a bool")),
    ("plaintext_reads", "", ("plaintext_reads must be 'refuse' or 'allow'; it is empty",)),
    ("plaintext_reads", "deny", ("plaintext_reads must be 'refuse' or 'allow'; it is a str",)),
    ("plaintext_reads", True, ("it is a bool",)),
    ("plaintext_reads", ["allow"], ("it is a list",)),
]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    WRONG,
    ids=[
        f"{field}-{repr(value)[:12] if value != 10**5000 else 'huge'}" for field, value, _ in WRONG
    ],
)
def test_a_wrong_field_is_refused_with_words_that_teach(field: str, value: Any, words):
    """Each message names the field, what it may be, and what it was."""
    message = refusal(**{field: value})
    assert field in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key_prefix", ""),
        ("key_prefix", "x" * 128),
        ("key_prefix", "app/v1:a-b_c.d~!\"#$&'()+,;<=>@^`|"),
        ("default_ttl", 0.0001),
        ("default_ttl", 3_155_760_000),
        ("default_ttl", 1.5),
        ("default_ttl", NO_EXPIRY),
        ("encryption_key", "k"),
        ("encryption_key", ("new", "old")),
        ("organization_id", "ü" * 500),
        ("timeout", 0.001),
        ("timeout", 86_400),
        ("options", {"create": False}),
        ("options", collections.ChainMap({"create": False})),
        ("options", types.MappingProxyType({})),
        ("plaintext_reads", "allow"),
    ],
    ids=lambda part: repr(part)[:20],
)
def test_a_right_field_is_taken(field: str, value: Any):
    """The borders belong to what is allowed."""
    assert getattr(MemoryConfig(**{field: value}), field) == value


def test_keys_are_copied():
    """Changing the list of keys afterwards changes no config, which can be hashed."""
    keys = ["new", "old"]
    config = MemoryConfig(encryption_key=keys)
    keys.append("")
    assert config.encryption_key == ("new", "old")
    assert hash(config) == hash(MemoryConfig(encryption_key=["new", "old"]))


def test_options_that_hold_themselves_are_refused():
    """Options can't be compared for ever, whatever a backend lets pass."""
    options: dict[str, Any] = {}
    options["self"] = options

    @hookimpl
    def fibonacci_storage(settings: StoreSettings) -> Backend:
        return LocalBackend(LocalStore())

    plugin = types.SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with (
        register_plugin("storage", "lenient", plugin),
        pytest.raises(ConfigurationError, match="options contain a reference cycle"),
    ):
        Workflow("w", MemoryConfig("lenient", options=options))


def test_options_are_copied():
    """Changing the dict afterwards changes no config."""
    options = {"create": True}
    config = MemoryConfig(options=options)
    options["create"] = False
    assert config.options == {"create": True}


def test_a_store_goes_without_a_url():
    """A Store is connected to as it is."""
    assert "connection_url does not go with a Store" in refusal(
        backend=LocalStore(), connection_url="memory://x"
    )


def test_the_repr_masks_what_is_secret():
    """C23: the URL's password and query, the encryption key, the options."""
    config = MemoryConfig(
        "redis",
        f"redis://ann:{CANARY}@h:1/0?password={CANARY}",
        encryption_key=[CANARY, CANARY],
        options={"password": CANARY},
    )
    assert CANARY not in repr(config)
    assert CANARY not in str(config)
    assert "redis://ann:***@h:1/0?password=***" in repr(config)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://u:{CANARY}%zz@h",
        f"redis://u:{CANARY}@h@h",
        f"redis://u:{CANARY}#@h",
        f"redis://u:{CANARY} @h",
        f"redis://u:{CANARY}@h:port",
        f"{CANARY}",
        f"redis:/u:{CANARY}@h",
    ],
)
def test_the_repr_masks_a_malformed_url_wholly(url: str):
    """C23: what can't be taken apart can't be shown in part."""
    config = MemoryConfig("redis", url)
    assert CANARY not in repr(config)
    assert "connection_url='***'" in repr(config)


def test_the_repr_without_a_url_says_none():
    """Nothing is masked where nothing is."""
    assert "connection_url=None" in repr(MemoryConfig())


def test_a_config_is_checked_without_its_plugin():
    """The plugin, the URL and the cipher are checked when a Workflow is made."""
    config = MemoryConfig("surely-not-there", "::", encrypt_values=True)
    with pytest.raises(FibonacciError):
        Workflow("w", config)


ORGANIZATIONS = [
    ({}, None, None, "default"),
    ({"FIBONACCI_ORGANIZATION_ID": "env"}, None, None, "env"),
    ({"FIBONACCI_ORGANIZATION_ID": ""}, None, None, "default"),
    ({"FIBONACCI_ORGANIZATION_ID": "env\n"}, None, None, "env"),
    ({"FIBONACCI_ORGANIZATION_ID": "env"}, "config", None, "config"),
    ({"FIBONACCI_ORGANIZATION_ID": "env"}, "config", "workflow", "workflow"),
    ({"FIBONACCI_ORGANIZATION_ID": "env"}, None, "workflow", "workflow"),
    ({}, "config", "workflow", "workflow"),
]


@pytest.mark.parametrize(("environment", "config", "workflow", "expected"), ORGANIZATIONS)
def test_the_organization_is_the_nearest_one_given(
    monkeypatch, environment: dict[str, str], config, workflow, expected: str
):
    """C5: Workflow, then MemoryConfig, then the environment, then "default"."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = MemoryConfig("memory", "memory://organizations", organization_id=config)
    memory = Workflow("w", store, organization_id=workflow).memory
    memory.set("k", expected, scope="organization")
    assert memory.for_organization(expected).get("k") == expected
    assert memory.for_organization(expected).clear()


@pytest.mark.parametrize("bad", ["", 5, b"o", "\0", "o" * 1_001], ids=lambda bad: repr(bad)[:9])
def test_a_bad_organization_of_a_workflow_is_refused(bad: Any):
    """C5: not even an empty one falls through to the next."""
    with pytest.raises(ConfigurationError, match=r"^organization_id "):
        Workflow("w", organization_id=bad)


def test_a_bad_organization_of_the_environment_is_refused(monkeypatch):
    """C5: where it is the one that counts."""
    monkeypatch.setenv("FIBONACCI_ORGANIZATION_ID", "o" * 1_001)
    with pytest.raises(ConfigurationError, match=r"^FIBONACCI_ORGANIZATION_ID has 1,001 bytes"):
        Workflow("w")
    monkeypatch.setenv("FIBONACCI_ORGANIZATION_ID", "'acme'")
    with pytest.raises(ConfigurationError, match="FIBONACCI_ORGANIZATION_ID stands in quotes"):
        Workflow("w")
    assert Workflow("w", organization_id="mine")


ENVIRONMENT = [
    ("BACKEND", "redis", "backend", "redis"),
    ("CONNECTION_URL", "redis://h", "connection_url", "redis://h"),
    ("KEY_PREFIX", "p:", "key_prefix", "p:"),
    ("DEFAULT_TTL", "60", "default_ttl", 60),
    ("DEFAULT_TTL", "1.5", "default_ttl", 1.5),
    ("ENCRYPTION_KEY", "key", "encryption_key", ("key",)),
    ("ENCRYPTION_KEY", "new\nold", "encryption_key", ("new", "old")),
    ("ENCRYPTION_KEY", "new\r\nold\n", "encryption_key", ("new", "old")),
    ("ENCRYPT_VALUES", "true", "encrypt_values", True),
    ("ENCRYPT_VALUES", "TRUE", "encrypt_values", True),
    ("ENCRYPT_VALUES", "1", "encrypt_values", True),
    ("ENCRYPT_VALUES", "false", "encrypt_values", False),
    ("ENCRYPT_VALUES", "0", "encrypt_values", False),
    ("ENCRYPT_VALUES", "Yes", "encrypt_values", True),
    ("ENCRYPT_VALUES", "ON", "encrypt_values", True),
    ("ENCRYPT_VALUES", "no", "encrypt_values", False),
    ("ENCRYPT_VALUES", "off", "encrypt_values", False),
    ("TIMEOUT", "2", "timeout", 2),
    ("TIMEOUT", "0.5", "timeout", 0.5),
    ("ENCRYPTION", "box", "encryption", "box"),
    ("PLAINTEXT_READS", "allow", "plaintext_reads", "allow"),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), ENVIRONMENT)
def test_each_variable_sets_its_field(monkeypatch, variable, text, field, value):
    """``FIBONACCI_MEMORY_`` and the field's name."""
    monkeypatch.setenv(f"FIBONACCI_MEMORY_{variable}", text)
    assert getattr(MemoryConfig.from_env(), field) == value


def test_every_field_but_two_has_a_variable():
    """``options`` stand in the URL's query, and the organization has a variable of its own."""
    fields = {field.name for field in attrs.fields(MemoryConfig)}
    assert {field for _, _, field, _ in ENVIRONMENT} == fields - {"options", "organization_id"}


def test_no_variable_means_the_defaults():
    """An empty environment is a fine one, and other programs' variables don't matter."""
    assert MemoryConfig.from_env({}) == MemoryConfig()
    assert MemoryConfig.from_env({"PATH": "/bin", "FIBONACCI_OTHER": "1"}) == MemoryConfig()


@pytest.mark.parametrize("variable", sorted({variable for variable, *_ in ENVIRONMENT}))
def test_an_empty_variable_counts_as_unset(variable: str):
    """As containers and shells leave them."""
    assert MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": ""}) == MemoryConfig()


def test_variables_may_be_given_as_a_mapping(monkeypatch):
    """Then the process's own don't count."""
    monkeypatch.setenv("FIBONACCI_MEMORY_BACKEND", "redis")
    assert MemoryConfig.from_env({"FIBONACCI_MEMORY_KEY_PREFIX": "p:"}) == MemoryConfig(
        key_prefix="p:"
    )


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("CONNECTION_URL", "redis://h\n", "redis://h"),
        ("BACKEND", " redis\r\n", "redis"),
        ("TIMEOUT", "5 ", 5),
        ("ENCRYPT_VALUES", "true\n", True),
        ("KEY_PREFIX", "p:\n", "p:"),
    ],
)
def test_what_stands_around_a_variables_text_does_not_count(variable: str, text: str, value: Any):
    """A secret's file ends with a line end, which none of these can hold."""
    config = MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})
    assert getattr(config, variable.lower()) == value


@pytest.mark.parametrize("text", [" \n", None])
def test_a_blank_variable_counts_as_unset(text: Any):
    """As an empty one does, and a name alone in an .env file."""
    assert MemoryConfig.from_env({"FIBONACCI_MEMORY_DEFAULT_TTL": text}) == MemoryConfig()


@pytest.mark.parametrize("variable", ["BACKEND", "CONNECTION_URL", "KEY_PREFIX", "ENCRYPTION_KEY"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'"{CANARY}"', "stands in quotes"),
        (f"'{CANARY}'\n", "stands in quotes"),
        (f"first\n'{CANARY}'", "stands in quotes"),
        ("${CANARY}", "holds the name of a variable"),
        (f"{CANARY}$(NAME)", "holds the name of a variable"),
        ("$NAME", "holds the name of a variable"),
    ],
)
def test_what_a_shell_was_to_see_to_is_refused(variable: str, text: str, told: str):
    """C23: the variable is named, and nothing of it is quoted."""
    with pytest.raises(ConfigurationError, match=f"FIBONACCI_MEMORY_{variable} {told}") as caught:
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("key", [f"'{CANARY}\"", f'"{CANARY}', '"', f"{CANARY}`"])
def test_quotes_that_no_shell_takes_away_stay(key: str):
    """A key may begin and end with signs that are no pair."""
    assert MemoryConfig(encryption_key=key).encryption_key == key


@pytest.mark.parametrize("text", [f"'{CANARY}'", "${CANARY}"])
def test_a_key_in_code_is_looked_at_as_well(text: str):
    """``os.environ[...]`` hands it out as it is."""
    assert refusal(encryption_key=["good", text]).startswith("encryption_key ")


def test_a_url_in_the_place_of_a_backend_is_refused():
    """C23: the field that it belongs into is named, and it is not quoted."""
    assert refusal(backend=f"redis://:{CANARY}@h") == (
        "backend is a backend's name, such as 'redis', and it is a URL: give that as connection_url"
    )


@pytest.mark.parametrize(
    "name",
    [
        "export FIBONACCI_MEMORY_TIMEOUT",
        "FIBONACCI_MEMORY_TIMEOUT ",
        "fibonacci_memory_timeout",
    ],
)
def test_a_name_that_is_not_quite_one_is_refused(name: str):
    """Readers of .env files that know no ``export`` leave it in the name."""
    with pytest.raises(ConfigurationError, match=f"{name}': write FIBONACCI_MEMORY_TIMEOUT$"):
        MemoryConfig.from_env({name: "5"})


SERVICE = {
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "6379",
    "SERVICE_PORT_REDIS": "6379",
    "PORT": "tcp://10.0.0.1:6379",
    "PORT_6379_TCP": "tcp://10.0.0.1:6379",
    "PORT_6379_TCP_PROTO": "tcp",
    "PORT_6379_TCP_PORT": "6379",
    "PORT_6379_TCP_ADDR": "10.0.0.1",
}


@pytest.mark.parametrize("service", ["", "REDIS_", "BACKEND_"])
def test_variables_of_a_service_are_no_settings(service: str):
    """Kubernetes sets them for each service: of fibonacci-memory, they begin as ours do."""
    given = {f"FIBONACCI_MEMORY_{service}{name}": text for name, text in SERVICE.items()}
    assert MemoryConfig.from_env(given) == MemoryConfig()
    with pytest.raises(ConfigurationError, match="unknown environment variable"):
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{service}PORT": "6379"})


def test_an_unknown_variable_is_refused():
    """A misspelt variable would otherwise be a setting that silently does nothing."""
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig.from_env({"FIBONACCI_MEMORY_CONECTION_URL": f"redis://u:{CANARY}@h"})
    assert str(caught.value) == (
        "unknown environment variable FIBONACCI_MEMORY_CONECTION_URL. "
        "Did you mean 'FIBONACCI_MEMORY_CONNECTION_URL'?"
    )


@pytest.mark.parametrize("variable", ["OPTIONS", "ORGANIZATION_ID", "X", ""])
def test_a_field_without_a_variable_is_an_unknown_one(variable: str):
    """Also the two fields that are set elsewhere."""
    with pytest.raises(ConfigurationError, match="unknown environment variable"):
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": "x"})


@pytest.mark.parametrize(
    ("variable", "text", "rule"),
    [
        ("DEFAULT_TTL", "soon", "a number of seconds"),
        ("DEFAULT_TTL", "60s", "a number of seconds"),
        ("DEFAULT_TTL", "²", "a number of seconds"),
        ("DEFAULT_TTL", "9" * 5_000, "a number of seconds"),
        ("TIMEOUT", CANARY, "a number of seconds"),
        ("TIMEOUT", "5,5", "a number of seconds"),
        ("ENCRYPT_VALUES", "maybe", "true or false"),
        ("ENCRYPT_VALUES", "yes!", "true or false"),
        ("ENCRYPT_VALUES", CANARY, "true or false"),
    ],
    ids=lambda part: str(part)[:15],
)
def test_a_variable_that_can_not_be_read_is_refused_by_name(variable, text, rule):
    """The message names the variable and its rule, and never its text."""
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})
    assert str(caught.value) == (
        f"the environment variable FIBONACCI_MEMORY_{variable} must be {rule}"
    )


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("DEFAULT_TTL", "-1", "default_ttl must be over 0"),
        ("DEFAULT_TTL", "nan", "default_ttl must be over 0"),
        ("TIMEOUT", "0", r"timeout must be a number of seconds,? over 0"),
        ("TIMEOUT", "inf", r"timeout must be a number of seconds,? over 0"),
        ("KEY_PREFIX", "a b", "key_prefix may not hold"),
        ("PLAINTEXT_READS", "deny", "plaintext_reads must be"),
        ("ENCRYPTION_KEY", "new\n\nold", "none of them empty"),
    ],
)
def test_what_a_variable_says_is_checked_like_any_field(variable, text, words):
    """One rule, wherever the value comes from."""
    with pytest.raises(ConfigurationError, match=words):
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})


def test_a_key_from_the_environment_shows_nowhere(monkeypatch):
    """C23: also where the rest of the environment is wrong."""
    monkeypatch.setenv("FIBONACCI_MEMORY_ENCRYPTION_KEY", CANARY)
    assert CANARY not in repr(MemoryConfig.from_env())
    monkeypatch.setenv("FIBONACCI_MEMORY_TIMEOUT", "x")
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig.from_env()
    assert CANARY not in str(caught.value)


def test_encrypted_values_need_a_key():
    """C25: told when the Workflow is made, with what to do."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig(encrypt_values=True))
    assert str(caught.value) == (
        "encrypt_values=True needs a key: pass encryption_key=..., or set "
        "FIBONACCI_MEMORY_ENCRYPTION_KEY and use MemoryConfig.from_env()"
    )


def test_encrypted_values_need_their_plugin():
    """C25: told when the Workflow is made, and not at the first write."""
    with pytest.raises(PluginNotFoundError, match="'surely-not-there'"):
        Workflow(
            "w",
            MemoryConfig(encrypt_values=True, encryption_key=CANARY, encryption="surely-not-there"),
        )


def test_a_key_alone_encrypts_nothing():
    """``encrypt_values`` is what turns it on, and no plugin is needed before; a warning says so."""
    with pytest.warns(UserWarning, match="stored in plaintext. Set encrypt_values=True") as told:
        memory = Workflow("w", MemoryConfig(encryption_key=CANARY)).memory
    assert told[0].filename == __file__
    assert CANARY not in str(told[0].message)
    memory.set("k", 1)
    assert Workflow("w").memory.get("k") == 1
