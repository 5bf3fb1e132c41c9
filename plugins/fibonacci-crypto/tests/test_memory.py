"""The cipher in a memory, selected by its name."""

import os
import subprocess
import sys

import pytest

from fibonacci import DecryptionError, MemoryConfig, Workflow, generate_key, plugins

SECRET = "canary-value-81c2"


def memory(name: str, keys: str | list[str]):
    config = MemoryConfig("memory", f"memory://{name}", encrypt_values=True, encryption_key=keys)
    return Workflow("w", config).memory


def test_plugin_is_found_by_name():
    """encryption="aes-256-gcm", the default, selects this plugin."""
    found = {info.name: info.distribution for info in plugins() if info.kind == "encryption"}
    assert found["aes-256-gcm"] == "fibonacci-crypto"


def test_values_are_readable_with_the_same_key():
    """A value is read back, also by another workflow with the same key."""
    key = generate_key()
    assert memory("round", key).set("k", {"secret": SECRET})
    assert memory("round", key).get("k") == {"secret": SECRET}


def test_wrong_key_raises_an_error():
    """A wrong key raises DecryptionError instead of returning a default (C24)."""
    memory("other", generate_key()).set("k", SECRET)
    with pytest.raises(DecryptionError, match=r"was sealed with the key [0-9a-f]{16}, and this"):
        memory("other", generate_key()).get("k", default="default")


def test_core_imports_no_cryptography():
    """cryptography is imported when a cipher is created, not before."""
    code = (
        "import sys, fibonacci; fibonacci.generate_key(); fibonacci.plugins();"
        "fibonacci.Workflow('w', fibonacci.MemoryConfig()).memory.set('k', 1);"
        "assert not {n for n in sys.modules if n.startswith(('cryptography', 'fibonacci_crypto'))}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
