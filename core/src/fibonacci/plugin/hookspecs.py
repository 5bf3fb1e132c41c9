"""The hooks of plugins. Core calls them when a workflow is created, a model's before its first run.

A plugin is a module (or any object) that declares the version of these specs that it was written
for, and implements the hook of its kind. Core finds it by an entry point whose *name* is the
string that users write::

    [project.entry-points."fibonacci.storage"]
    shelf = "fibonacci_shelf"
"""

# A hook spec has a signature and a docstring, and no body.
# mypy: disable-error-code=empty-body
# pyright: reportReturnType=false

import pluggy

from fibonacci.plugin.encryption import Cipher, CipherSettings
from fibonacci.plugin.models import Model, ModelSettings
from fibonacci.plugin.storage import Backend, StoreSettings
from fibonacci.plugin.templating import Engine, EngineSettings

SPEC_VERSION = 1
"""What a plugin declares: ``FIBONACCI_SPEC_VERSION = 1``. It grows when plugins must change."""

hookspec = pluggy.HookspecMarker("fibonacci")

hookimpl = pluggy.HookimplMarker("fibonacci")
"""Marks a function as the implementation of a hook."""


@hookspec(firstresult=True)
def fibonacci_storage(settings: StoreSettings) -> Backend:
    """Return the backend for these settings.

    Called when a workflow with ``MemoryConfig(backend="shelf")`` is created; the backend is not
    used if the store of an equal one can be shared. Check the URL and the options here and raise
    ConfigurationError; use no network and no file::

        @hookimpl
        def fibonacci_storage(settings):
            url = read_url(settings, "shelf:///folder/name")
            options = read_options(settings, {"create": bool_option})
            return ShelfBackend(path=url.path, **options)
    """


@hookspec(firstresult=True)
def fibonacci_encryption(settings: CipherSettings) -> Cipher:
    """Return the cipher for these keys.

    Called once for each workflow with ``MemoryConfig(encrypt_values=True, encryption="box")``,
    when it is created. Check the keys here and raise ConfigurationError, without a key in it::

        @hookimpl
        def fibonacci_encryption(settings):
            return BoxCipher(seal_with=settings.keys[0], open_with=settings.keys)
    """


@hookspec(firstresult=True)
def fibonacci_templating(settings: EngineSettings) -> Engine:
    """Return the engine that compiles the texts of nodes.

    Called when a workflow with ``Workflow(templating="mustache")`` is created::

        @hookimpl
        def fibonacci_templating(settings):
            return MustacheEngine()
    """


@hookspec(firstresult=True)
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return the model of this name.

    Called once for each workflow that names ``parrot:grey``, before its first node runs. An entry
    point whose name ends in "-" matches every model with that prefix (``parrot-``); the longest
    wins. Check the name and the key to the service here, and raise ConfigurationError::

        @hookimpl
        def fibonacci_model(settings):
            return Parrot(settings.model, key=os.environ["PARROT_KEY"])
    """
