"""Stores whose hook or backend is broken."""

from types import SimpleNamespace

from minimal import MinimalStore, ToyBackend

from broken.entry import broken
from fibonacci.errors import ConfigurationError, StorageError
from fibonacci.plugin import hookimpl, read_options

URL = "shelf://user:hunter2@shelf.example:4000/base"


class Shelf(MinimalStore):
    """A sound store whose plugin takes a URL."""

    url = URL

    @classmethod
    def backend(cls, settings):
        """Return the backend."""
        cls.check_url(settings.url)
        cls.check_options(settings)
        return cls.create_backend(settings)

    @classmethod
    def check_url(cls, url):
        if url is None or url.scheme != "shelf":
            raise ConfigurationError("a shelf takes a connection URL like shelf://host/base")

    @classmethod
    def check_options(cls, settings):
        read_options(settings, {})

    @classmethod
    def create_backend(cls, settings):
        return ToyBackend(shared(cls))

    @classmethod
    def plugin(cls):
        """Return the plugin."""
        hook = hookimpl(lambda settings: cls.backend(settings), specname="fibonacci_storage")
        return SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=hook)


def shared(store, _stores={}):  # noqa: B006 - one store for the whole process
    return _stores.setdefault(store, store())


class Unshared(Shelf):
    """Each workflow has a backend of its own."""

    @classmethod
    def create_backend(cls, settings):
        backend = super().create_backend(settings)
        backend.identity = object()
        return backend


@broken("test_close_one_of_two")
class ClosesForAll(Unshared):
    """Closing one of two workflows closes the connection of both."""

    closed = False

    def close(self):
        self.closed = True

    def read(self, address, *, deadline):
        if self.closed:
            raise StorageError("the connection is closed")
        return super().read(address, deadline=deadline)


@broken("test_closed_memory")
class FailsToClose(Unshared):
    """Closing raises, at the first time."""

    closed = False

    def close(self):
        if not self.closed:
            self.closed = True
            raise OSError("not connected")


@broken("test_shared_memory")
class OneStorePerWorkflow(Unshared):
    """Each workflow has records of its own."""

    @classmethod
    def create_backend(cls, settings):
        backend = super().create_backend(settings)
        backend.store = cls()
        return backend


@broken("test_close_unused_memory")
class RefusesItsTimeout(Shelf):
    """The hook refuses timeouts of more than a second."""

    @classmethod
    def check_options(cls, settings):
        if settings.timeout > 1:
            raise ConfigurationError("the timeout is too long")


@broken("test_no_password_in_repr")
class ShowsItsUrl(Shelf):
    """The repr shows the URL."""

    def __repr__(self):
        return f"ShowsItsUrl({URL})"


@broken("test_unknown_option")
class IgnoresOptions(Shelf):
    """Options are not looked at."""

    @classmethod
    def check_options(cls, settings):
        pass
