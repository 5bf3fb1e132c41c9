"""The error for a plugin that was not found: its reason, and how to install the plugin."""

import sys
from collections.abc import Collection
from typing import Any, Final

from fibonacci._discovery.installed import split_folder_name, unreadable_folders
from fibonacci._discovery.kinds import BLOCK_VARIABLE, Kind
from fibonacci.errors import PluginNotFoundError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin._runtime.signals import raise_for_signal

_NAMES_ELSEWHERE: Final = {
    "storage": {
        "redis": "rediss valkey valkeys keydb dragonfly elasticache memorydb upstash",
        "postgres": "pg pgsql psql psycopg psycopg2 asyncpg supabase neon cockroachdb timescaledb",
        "dynamodb": "dynamo ddb aws boto3",
        "sqlite": "sqlite3 aiosqlite libsql file disk",
        "memory": "ram dict local inmemory in-memory in_memory",
    },
    "templating": {"jinja": "jinja2", "builtin": "braces default f-string format"},
}
_OUR_NAMES: Final = {
    kind: {name: ours for ours, names in kinds.items() for name in names.split()}
    for kind, kinds in _NAMES_ELSEWHERE.items()
}
_CLAUDE_HINT: Final = "write claude-sonnet-5-5, or anthropic: followed by a model's name"


def not_found_error(
    kind: Kind, name: str, usable: set[str], *, is_blocked: bool
) -> PluginNotFoundError:
    """Return the error; ``usable`` holds the names of the kind's plugins that are not blocked."""
    listing = f"Installed: {', '.join(sorted(usable)) or 'none'}."
    if is_blocked:
        return PluginNotFoundError(
            f"{kind.noun} {name!r} is blocked by {BLOCK_VARIABLE}. {listing}"
        )
    unreadable_hint = _unreadable_metadata_hint()
    if name in kind.extras:
        hint = _installation_hint(kind, name)
        return PluginNotFoundError(f"{kind.noun} {name!r} {hint} {listing}{unreadable_hint}")
    known = usable | kind.extras.keys()
    suggestion = _suggest_name(kind.name, name, known) or did_you_mean(name, known)
    hint = suggestion or f" {listing}{_frozen_hint(kind, name)}"
    return PluginNotFoundError(f"unknown {kind.noun} {name!r}.{hint}{unreadable_hint}")


def _suggest_name(kind: str, name: str, known: Collection[str]) -> str:
    """Return " Did you mean 'x'?", or what to write, for a name that other tools use; else "".

    ``known`` are the plugins' names, suggested if the name differs in case only.
    """
    if kind == "models":
        return _suggest_model(name, known)
    lowercase = name.strip().lower()
    suggestion = lowercase if lowercase in known else _OUR_NAMES.get(kind, {}).get(lowercase)
    return f" Did you mean {suggestion!r}?" if suggestion else ""


def _suggest_model(name: str, known: Collection[str]) -> str:
    provider, slash, rest = name.partition("/")
    if slash and provider in known and rest:
        return f" Did you mean '{provider}:{rest}'?"
    return f" For Claude, {_CLAUDE_HINT}." if "claude" in name.lower() else ""


def _installation_hint(kind: Kind, name: str) -> str:
    """Return why a plugin that we publish is not found, and how to install it."""
    extra = kind.extras[name]
    module, distribution = f"fibonacci_{extra}", f"fibonacci-{extra}"
    here = _can_be_imported(module)
    register = f'call fibonacci.register_plugin("{kind.name}", "{name}", {module})'
    if _is_frozen():
        missing = (
            f"{module} is here, its metadata (entry points) is not" if here else f"no {module}"
        )
        return (
            f"is not found in this frozen program: {missing}. Bundle both (PyInstaller: "
            f"--hidden-import {module} --copy-metadata {distribution}; Nuitka: "
            f"--include-package={module} --include-distribution-metadata={distribution}), "
            f"or import {module} and {register}."
        )
    if here:
        return (
            f"is not found: {module} can be imported, but its metadata (entry points) is not here, "
            f"or is broken. Install it again: pip install --force-reinstall {distribution}. "
            f"In a program without metadata (frozen, a zip file, a layer), {register}."
        )
    return f"is not installed. Install it: pip install 'fibonacci-core[{extra}]'."


def _is_frozen() -> bool:
    """Return whether the program was built by PyInstaller, cx_Freeze or Nuitka."""
    return hasattr(sys, "frozen") or "__compiled__" in globals()


def _frozen_hint(kind: Kind, name: str) -> str:
    """Return a sentence for a frozen program that lacks a third-party plugin, or nothing."""
    if not _is_frozen():
        return ""
    return (
        " This program is frozen: bundle the plugin's module and its metadata, or call "
        f'fibonacci.register_plugin("{kind.name}", {name!r}, ...).'
    )


def _unreadable_metadata_hint() -> str:
    """Return a sentence on metadata that can't be read, which may be the plugin's, or nothing."""
    return "".join(
        f" The metadata in {folder} can't be read: if it is that, delete this folder, then run "
        f"pip install --force-reinstall {split_folder_name(folder)[0]}."
        for folder in unreadable_folders()
    )


def _can_be_imported(module: str) -> bool:
    """Look for the module where Python would; import nothing."""
    return any(_finds(finder, module) for finder in sys.meta_path)


def _finds(finder: Any, module: str) -> bool:
    try:
        spec = finder.find_spec(module, None)
    except Exception as error:  # noqa: BLE001 - a broken third-party finder
        raise_for_signal(error)
        return False
    return spec is not None and spec.origin is not None  # a folder without code has no origin
