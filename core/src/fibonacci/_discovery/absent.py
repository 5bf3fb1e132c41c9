"""A plugin that was not found: what to do, as its module may be here without its metadata."""

import sys
from typing import Any

from fibonacci._discovery.kinds import Kind
from fibonacci._discovery.metadata import split, unreadable
from fibonacci.plugin._runtime.signals import raise_for_signal


def way_out(kind: Kind, name: str) -> str:
    """Return what is wrong with a plugin that we publish, and how it comes to be found."""
    extra = kind.extras[name]
    module, distribution = f"fibonacci_{extra}", f"fibonacci-{extra}"
    here = _can_be_imported(module)
    register = f'call fibonacci.register_plugin("{kind.name}", "{name}", {module})'
    if is_frozen():
        lack = f"{module} is here, its metadata (entry points) is not" if here else f"no {module}"
        return (
            f"is not found in this frozen program: {lack}. Bundle both (PyInstaller: "
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


def is_frozen() -> bool:
    """Say whether PyInstaller, cx_Freeze or Nuitka made the program."""
    return hasattr(sys, "frozen") or "__compiled__" in globals()


def if_frozen(kind: Kind, name: str) -> str:
    """Return a sentence for a frozen program that lacks a plugin of others; or nothing."""
    if not is_frozen():
        return ""
    return (
        " This program is frozen: bundle the plugin's module and its metadata, or call "
        f'fibonacci.register_plugin("{kind.name}", {name!r}, ...).'
    )


def broken_neighbours() -> str:
    """Return a sentence on metadata that can't be read: the plugin may be in there; or nothing."""
    return "".join(
        f" The metadata in {folder} can't be read: if it is that, delete this folder, then run "
        f"pip install --force-reinstall {split(folder)[0]}."
        for folder in unreadable()
    )


def _can_be_imported(module: str) -> bool:
    """Look for the module where Python would; import nothing."""
    return any(_finds(finder, module) for finder in sys.meta_path)


def _finds(finder: Any, module: str) -> bool:
    try:
        spec = finder.find_spec(module, None)
    except Exception as fault:  # noqa: BLE001 - a finder of others', such as an uninstall left
        raise_for_signal(fault)
        return False
    return spec is not None and spec.origin is not None  # a folder without code has no origin
