"""MemoryConfig: every field is checked, every message says what to do, no secret is shown."""

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


def test_reference_fields_have_its_defaults():
    """MemoryConfig has the six fields of the reference, in its order, with its defaults."""
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


def test_defaults_of_further_fields():
    """MemoryConfig's further fields have these defaults."""
    config = MemoryConfig()
    assert (config.organization_id, config.timeout, config.options) == (None, 5.0, {})
    assert (config.encryption, config.plaintext_reads) == ("aes-256-gcm", "refuse")


def test_reference_fields_may_be_positional():
    """MemoryConfig takes the six fields of the reference by position, in its order."""
    config = MemoryConfig("redis", "redis://h", "p:", 60, "key", True)
    assert config == MemoryConfig(
        backend="redis",
        connection_url="redis://h",
        key_prefix="p:",
        default_ttl=60,
        encryption_key="key",
        encrypt_values=True,
    )


def test_further_fields_are_keyword_only():
    """MemoryConfig takes its further fields by keyword only."""
    with pytest.raises(TypeError):
        untyped("memory", None, "p:", 60, "key", False, "acme")


@pytest.mark.parametrize("name", ["backnd", "url", "ttl", "Backend", "organisation_id"])
def test_misspelt_argument_is_a_type_error(name: str):
    """MemoryConfig raises TypeError with the name of an unknown argument."""
    with pytest.raises(TypeError, match=name):
        untyped(**{name: "x"})


def test_config_is_immutable():
    """MemoryConfig is immutable; ``attrs.evolve`` creates another one, which is checked as well."""
    config = untyped()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.backend = "redis"
    assert attrs.evolve(config, timeout=1).timeout == 1
    with pytest.raises(ConfigurationError):
        attrs.evolve(config, timeout=0)


def test_config_error_is_a_value_error():
    """C23: ConfigurationError is a FibonacciError and a ValueError."""
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
    ("key_prefix", "a b", ("key_prefix may not contain ' '", "printable ASCII without spaces")),
    ("key_prefix", "a\n", ("key_prefix may not contain '\\n'",)),
    ("key_prefix", "a\0", ("key_prefix may not contain '\\x00'",)),
    ("key_prefix", "é:", ("key_prefix may not contain 'é'",)),
    ("key_prefix", "\ud800", ("key_prefix may not contain '\\ud800'",)),
    ("key_prefix", "\x7f", ("key_prefix may not contain '\\x7f'",)),
    *(("key_prefix", f"a{c}b", (f"may not contain {c!r}", "{}*?[]\\%")) for c in "{}*?[]\\%"),
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
    ("encryption_key", 5, ("the first seals, all of them open",)),
    ("encryption_key", [], ("encryption_key must be text, or a list",)),
    ("encryption_key", ["a", ""], ("none may be empty",)),
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
def test_error_of_a_field_names_it_and_its_rule(field: str, value: Any, words):
    """The message about a wrong field has its name, what it may be, and what it was."""
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
def test_limits_of_fields_are_inclusive(field: str, value: Any):
    """MemoryConfig accepts values at the limits of its fields."""
    assert getattr(MemoryConfig(**{field: value}), field) == value


def test_keys_are_copied():
    """MemoryConfig copies the list of keys, so that later changes have no effect; it has a hash."""
    keys = ["new", "old"]
    config = MemoryConfig(encryption_key=keys)
    keys.append("")
    assert config.encryption_key == ("new", "old")
    assert hash(config) == hash(MemoryConfig(encryption_key=["new", "old"]))


def test_cyclic_options_are_refused():
    """Options with a reference cycle are refused, whatever a backend accepts."""
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
    """MemoryConfig copies the dict of options; later changes of it have no effect."""
    options = {"create": True}
    config = MemoryConfig(options=options)
    options["create"] = False
    assert config.options == {"create": True}


def test_store_as_backend_refuses_a_url():
    """MemoryConfig refuses a connection_url with a Store as backend."""
    assert "connection_url does not go with a Store" in refusal(
        backend=LocalStore(), connection_url="memory://x"
    )


def test_repr_masks_secrets():
    """C23: repr() shows no password or query of the URL, no encryption key and no options."""
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
def test_repr_masks_a_malformed_url_entirely(url: str):
    """C23: repr() shows no part of a URL that can't be parsed."""
    config = MemoryConfig("redis", url)
    assert CANARY not in repr(config)
    assert "connection_url='***'" in repr(config)


def test_repr_without_a_url_shows_none():
    """repr() shows None if there is no URL."""
    assert "connection_url=None" in repr(MemoryConfig())


def test_config_needs_no_plugin_to_be_created():
    """The plugin, the URL and the cipher are checked when a Workflow is created, not before."""
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
def test_order_of_organization_sources(
    monkeypatch, environment: dict[str, str], config, workflow, expected: str
):
    """C5: the organization comes from Workflow, MemoryConfig, the environment, or is "default"."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = MemoryConfig("memory", "memory://organizations", organization_id=config)
    memory = Workflow("w", store, organization_id=workflow).memory
    memory.set("k", expected, scope="organization")
    assert memory.for_organization(expected).get("k") == expected
    assert memory.for_organization(expected).clear()


@pytest.mark.parametrize("bad", ["", 5, b"o", "\0", "o" * 1_001], ids=lambda bad: repr(bad)[:9])
def test_invalid_organization_of_a_workflow_is_refused(bad: Any):
    """C5: a Workflow refuses an invalid organization_id, even an empty one."""
    with pytest.raises(ConfigurationError, match=r"^organization_id "):
        Workflow("w", organization_id=bad)


def test_invalid_organization_of_the_environment_is_refused(monkeypatch):
    """C5: an invalid FIBONACCI_ORGANIZATION_ID is refused if it is used."""
    monkeypatch.setenv("FIBONACCI_ORGANIZATION_ID", "o" * 1_001)
    with pytest.raises(ConfigurationError, match=r"^FIBONACCI_ORGANIZATION_ID has 1,001 bytes"):
        Workflow("w")
    monkeypatch.setenv("FIBONACCI_ORGANIZATION_ID", "'acme'")
    with pytest.raises(ConfigurationError, match="FIBONACCI_ORGANIZATION_ID is in quotes"):
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
    """The variable of a field is ``FIBONACCI_MEMORY_`` and the field's name."""
    monkeypatch.setenv(f"FIBONACCI_MEMORY_{variable}", text)
    assert getattr(MemoryConfig.from_env(), field) == value


def test_every_field_but_two_has_a_variable():
    """All fields but ``options`` and ``organization_id`` have a variable."""
    fields = {field.name for field in attrs.fields(MemoryConfig)}
    assert {field for _, _, field, _ in ENVIRONMENT} == fields - {"options", "organization_id"}


def test_no_variable_means_the_defaults():
    """from_env() of an empty environment returns the defaults, and ignores foreign variables."""
    assert MemoryConfig.from_env({}) == MemoryConfig()
    assert MemoryConfig.from_env({"PATH": "/bin", "FIBONACCI_OTHER": "1"}) == MemoryConfig()


@pytest.mark.parametrize("variable", sorted({variable for variable, *_ in ENVIRONMENT}))
def test_empty_variable_counts_as_unset(variable: str):
    """from_env() ignores an empty variable, as containers and shells leave them."""
    assert MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": ""}) == MemoryConfig()


def test_from_env_takes_a_mapping(monkeypatch):
    """from_env(mapping) reads only the mapping, not the process's environment."""
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
def test_variables_are_stripped(variable: str, text: str, value: Any):
    """from_env() strips blanks and line ends, such as the one at the end of a secret's file."""
    config = MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})
    assert getattr(config, variable.lower()) == value


@pytest.mark.parametrize("text", [" \n", None])
def test_blank_variable_counts_as_unset(text: Any):
    """from_env() ignores a blank variable, and one without a value from an .env file."""
    assert MemoryConfig.from_env({"FIBONACCI_MEMORY_DEFAULT_TTL": text}) == MemoryConfig()


@pytest.mark.parametrize("variable", ["BACKEND", "CONNECTION_URL", "KEY_PREFIX", "ENCRYPTION_KEY"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'"{CANARY}"', "is in quotes"),
        (f"'{CANARY}'\n", "is in quotes"),
        (f"first\n'{CANARY}'", "is in quotes"),
        ("${CANARY}", "contains the name of a variable"),
        (f"{CANARY}$(NAME)", "contains the name of a variable"),
        ("$NAME", "contains the name of a variable"),
    ],
)
def test_shell_syntax_in_a_variable_is_refused(variable: str, text: str, problem: str):
    """C23: shell syntax in a variable is refused; the message names it, and quotes nothing."""
    with pytest.raises(
        ConfigurationError, match=f"FIBONACCI_MEMORY_{variable} {problem}"
    ) as caught:
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("key", [f"'{CANARY}\"", f'"{CANARY}', '"', f"{CANARY}`"])
def test_unpaired_quotes_are_part_of_a_key(key: str):
    """An encryption key may begin and end with quotes that are not a pair."""
    assert MemoryConfig(encryption_key=key).encryption_key == key


@pytest.mark.parametrize("text", [f"'{CANARY}'", "${CANARY}"])
def test_shell_syntax_in_an_encryption_key_is_refused(text: str):
    """encryption_key is checked for shell syntax in code too: ``os.environ[...]`` may have it."""
    assert refusal(encryption_key=["good", text]).startswith("encryption_key ")


def test_url_as_backend_is_refused():
    """C23: a URL as backend is refused; the message names connection_url, and not the URL."""
    assert refusal(backend=f"redis://:{CANARY}@h") == (
        "backend must be a backend's name, such as 'redis'; it is a URL: pass that as "
        "connection_url"
    )


@pytest.mark.parametrize(
    "name",
    [
        "export FIBONACCI_MEMORY_TIMEOUT",
        "FIBONACCI_MEMORY_TIMEOUT ",
        "fibonacci_memory_timeout",
    ],
)
def test_misspelt_prefix_of_a_variable_is_refused(name: str):
    """from_env() refuses ``export`` or lower case in a name, as some .env readers leave it."""
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
def test_variables_of_a_kubernetes_service_are_ignored(service: str):
    """from_env() ignores what Kubernetes sets for a service called fibonacci-memory."""
    environ = {f"FIBONACCI_MEMORY_{service}{name}": text for name, text in SERVICE.items()}
    assert MemoryConfig.from_env(environ) == MemoryConfig()
    with pytest.raises(ConfigurationError, match="unknown environment variable"):
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{service}PORT": "6379"})


def test_unknown_variable_is_refused():
    """from_env() refuses an unknown variable, which otherwise would silently have no effect."""
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig.from_env({"FIBONACCI_MEMORY_CONECTION_URL": f"redis://u:{CANARY}@h"})
    assert str(caught.value) == (
        "unknown environment variable FIBONACCI_MEMORY_CONECTION_URL. "
        "Did you mean 'FIBONACCI_MEMORY_CONNECTION_URL'?"
    )


@pytest.mark.parametrize("variable", ["OPTIONS", "ORGANIZATION_ID", "X", ""])
def test_variable_of_a_field_without_one_is_refused(variable: str):
    """from_env() refuses variables of the two fields that are set elsewhere."""
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
def test_error_of_a_variable_names_it_and_its_rule(variable, text, rule):
    """The message about an invalid variable has its name and its rule, and never its value."""
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
        ("KEY_PREFIX", "a b", "key_prefix may not contain"),
        ("PLAINTEXT_READS", "deny", "plaintext_reads must be"),
        ("ENCRYPTION_KEY", "new\n\nold", "none may be empty"),
    ],
)
def test_variables_are_validated_like_fields(variable, text, words):
    """The value of a variable is validated like that of a field."""
    with pytest.raises(ConfigurationError, match=words):
        MemoryConfig.from_env({f"FIBONACCI_MEMORY_{variable}": text})


def test_key_from_the_environment_is_never_shown(monkeypatch):
    """C23: no error shows a key from the environment, even if another variable is wrong."""
    monkeypatch.setenv("FIBONACCI_MEMORY_ENCRYPTION_KEY", CANARY)
    assert CANARY not in repr(MemoryConfig.from_env())
    monkeypatch.setenv("FIBONACCI_MEMORY_TIMEOUT", "x")
    with pytest.raises(ConfigurationError) as caught:
        MemoryConfig.from_env()
    assert CANARY not in str(caught.value)


def test_encrypted_values_need_a_key():
    """C25: a Workflow with encrypt_values and no key raises, and the message says what to do."""
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig(encrypt_values=True))
    assert str(caught.value) == (
        "encrypt_values=True needs a key: pass encryption_key=..., or set "
        "FIBONACCI_MEMORY_ENCRYPTION_KEY and use MemoryConfig.from_env()"
    )


def test_encrypted_values_need_their_plugin():
    """C25: a Workflow raises if the encryption plugin is missing, not the first write."""
    with pytest.raises(PluginNotFoundError, match="'surely-not-there'"):
        Workflow(
            "w",
            MemoryConfig(encrypt_values=True, encryption_key=CANARY, encryption="surely-not-there"),
        )


def test_key_without_encrypt_values_warns():
    """An encryption_key without encrypt_values encrypts nothing, needs no plugin, and warns."""
    with pytest.warns(UserWarning, match="stored in plaintext. Set encrypt_values=True") as warned:
        memory = Workflow("w", MemoryConfig(encryption_key=CANARY)).memory
    assert warned[0].filename == __file__
    assert CANARY not in str(warned[0].message)
    memory.set("k", 1)
    assert Workflow("w").memory.get("k") == 1
