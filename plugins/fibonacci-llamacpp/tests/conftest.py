import os
from collections.abc import Iterator
from ctypes import CDLL
from importlib.metadata import files
from pathlib import Path
from time import monotonic

import pytest

from fibonacci.plugin import Model, ModelRequest, ModelSettings
from fibonacci_llamacpp import fibonacci_model
from fibonacci_llamacpp.weights import find_weights

from .shallow_model import shallow_model


def libgomp_folder() -> str | None:
    """Return the folder of another wheel's libgomp, None if the machine has one."""
    try:
        CDLL("libgomp.so.1")
    except OSError:
        (library,) = (file for file in files("pykdtree") or () if "libgomp" in file.name)
        return str(Path(str(library.locate())).parent)
    return None


@pytest.fixture(scope="session", autouse=True)
def provide_libgomp(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Provide libgomp, which llama.cpp requires and a slim Debian lacks."""
    folder = libgomp_folder()
    if folder is not None:
        link = tmp_path_factory.mktemp("lib") / "libgomp.so.1"
        link.symlink_to(next(Path(folder).glob("libgomp*")))
        os.environ["LD_LIBRARY_PATH"] = str(link.parent)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of SmolLM2 with one of its thirty layers."""
    file = tmp_path_factory.mktemp("weights") / "shallow.gguf"
    file.write_bytes(shallow_model(find_weights("smollm2")))
    return file


@pytest.fixture(scope="session")
def model(weights: Path) -> Model:
    """The shallow model, loaded once for all tests."""
    return fibonacci_model(ModelSettings(model=str(weights)))


@pytest.fixture(scope="session")
def full_model() -> Model:
    """The full model, for tests of its output, loaded once for all tests."""
    return fibonacci_model(ModelSettings(model="smollm2"))


@pytest.fixture
def idle(model: Model) -> Iterator[None]:
    """Fails if llama.cpp still generates an abandoned completion after the test.

    The test starts as many completions as there are slots, each at least ten seconds long; if they
    continued, this short one would be queued.
    """
    yield
    model.complete(ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 10))
