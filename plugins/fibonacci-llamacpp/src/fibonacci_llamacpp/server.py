"""llama.cpp's server in this process, listening where only this user can reach it.

llama.cpp comes as a server, and a server listens somewhere. Ours listens on a Unix socket in a
folder that only this user can enter, and on no port: a port would be open, with no password, to
every user of the machine, and to the web pages in its browsers.
"""

import ctypes
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fibonacci.errors import ModelError

if TYPE_CHECKING:
    from xllamacpp import CommonParams

SLOTS: Final = 4
"""Requests that are answered at the same time; others wait in line."""
CONTEXT: Final = 4096
"""Tokens that a prompt and its answer may have together: memory is taken for them when loading."""

LONGEST_SOCKET: Final = 100
"""Bytes in a socket's path, a little under what systems allow (104 on macOS, 108 on Linux)."""


class RunningServer:
    """A loaded model that answers at ``address``, the path of a socket."""

    def __init__(self, weights: Path) -> None:
        """Load the model. Raises ModelError."""
        import xllamacpp  # 62 ms and 106 MB, for those who ask a model

        self._folder = _private_folder()
        self.address = f"{self._folder}/llama.sock"  # llama.cpp tells a socket by this ending
        try:
            params = _set_up(xllamacpp.CommonParams(), weights, self.address)
            self._server: xllamacpp.Server | None = xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            shutil.rmtree(self._folder)
            raise ModelError(
                f"llamacpp: can't load {weights}: the file is damaged, or of a kind that this "
                "version of llama.cpp does not know, or too large for the memory"
            ) from error

    def stop(self) -> None:
        """End all that it does, and free the model."""
        self._server = None  # the destructor does it
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave_to_parent(self) -> None:
        """Never stop it, in a forked child: the destructor would wait for the parent's threads."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))


def _private_folder() -> str:
    folder = tempfile.mkdtemp(prefix="fibonacci-")
    if len(os.fsencode(f"{folder}/llama.sock")) <= LONGEST_SOCKET:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="fibonacci-", dir="/tmp")  # noqa: S108 - mkdtemp makes it safe


def _set_up(params: "CommonParams", weights: Path, address: str) -> "CommonParams":
    params.model.path = str(weights)
    params.hostnames = [address]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.fit_params = False  # it would quietly take a smaller context
    params.cache_ram_mib = 0  # earlier prompts: up to 8 GiB of them
    params.warmup = False
    params.enable_reasoning = 0  # a workflow wants the answer, not the thoughts before it
    params.ui = params.endpoint_slots = False
    params.verbosity = -1  # not a word on stderr
    return params
