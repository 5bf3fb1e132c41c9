"""The cipher behind a memory, found by its name."""

import os
import subprocess
import sys

import pytest

from fibonacci import DecryptionError, MemoryConfig, Workflow, generate_key, plugins

SECRET = "canary-value-81c2"


def memory(name: str, keys: str | list[str]):
    config = MemoryConfig("memory", f"memory://{name}", encrypt_values=True, encryption_key=keys)
    return Workflow("w", config).memory


def test_it_is_found_by_its_name():
    """``MemoryConfig(encryption="aes-256-gcm")``, the default, is this plugin."""
    found = {info.name: info.distribution for info in plugins() if info.kind == "encryption"}
    assert found["aes-256-gcm"] == "fibonacci-crypto"


def test_values_come_back():
    """What was set is what is read, by another workflow with the same key too."""
    key = generate_key()
    assert memory("round", key).set("k", {"secret": SECRET})
    assert memory("round", key).get("k") == {"secret": SECRET}


def test_another_key_opens_nothing():
    """C24: a wrong key is an error, never a default."""
    memory("other", generate_key()).set("k", SECRET)
    with pytest.raises(DecryptionError, match=r"was sealed with the key [0-9a-f]{16}, and this"):
        memory("other", generate_key()).get("k", default="default")


def test_core_loads_no_cryptography():
    """Not at import, not for a plain memory, not to make a key: only when a cipher is asked for."""
    code = (
        "import sys, fibonacci; fibonacci.generate_key(); fibonacci.plugins();"
        "fibonacci.Workflow('w', fibonacci.MemoryConfig()).memory.set('k', 1);"
        "assert not {n for n in sys.modules if n.startswith(('cryptography', 'fibonacci_crypto'))}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
