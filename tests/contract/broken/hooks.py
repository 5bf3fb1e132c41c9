"""Stores whose hook or backend is broken."""

import os
import socket
import threading
from contextlib import closing, suppress
from types import SimpleNamespace

import attrs
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


@broken("test_unknown_option_in_the_url")
class IgnoresTheQuery(Shelf):
    """Options in the URL are not looked at."""

    @classmethod
    def check_options(cls, settings):
        read_options(attrs.evolve(settings, url=None), {})


@broken("test_unknown_option_in_the_url")
class QuotesTheOption(Shelf):
    """The error about an option shows its value."""

    @classmethod
    def check_options(cls, settings):
        for name, value in settings.url.query.items():
            raise ConfigurationError(f"there is no option {name}={value}")


@broken("test_another_scheme")
class TakesAnyScheme(Shelf):
    """The URL of another backend is taken."""

    @classmethod
    def check_url(cls, url):
        if url is None:
            raise ConfigurationError("a shelf takes a connection URL")


@broken("test_no_url")
class NeedsAUrl(Shelf):
    """A missing URL is no error of the configuration, but an AttributeError."""

    @classmethod
    def check_url(cls, url):
        if url.scheme != "shelf":
            raise ConfigurationError("a shelf takes a connection URL")


class Identified(Shelf):
    """The backend has an identity."""

    @classmethod
    def create_backend(cls, settings):
        backend = super().create_backend(settings)
        backend.identity = cls.identity(settings.url)
        return backend

    @classmethod
    def identity(cls, url):
        raise NotImplementedError


@broken("test_identity")
class IdentityIsTheHost(Identified):
    """Databases of one server share a store."""

    @classmethod
    def identity(cls, url):
        return url.hosts[0]


@broken("test_identity")
class IdentityHasNoPort(Identified):
    """Servers of one host share a store."""

    @classmethod
    def identity(cls, url):
        return (url.hosts[0][0], url.path, url.username)


@broken("test_identity")
class IdentityHasNoUser(Identified):
    """Users of one database share a store, with the rights of the first one."""

    @classmethod
    def identity(cls, url):
        return (url.hosts, url.path)


@broken("test_nothing_secret_is_shown")
class ShowsItsIdentity(Identified):
    """The identity shows the password."""

    @classmethod
    def identity(cls, url):
        return (url, url.password)


@broken("test_nothing_secret_is_shown")
class QuotesItsPassword(ShowsItsIdentity):
    """The identity shows the password, whose quotes its repr escapes."""

    url = URL.replace("hunter2", "%27hunter2%22")


@broken("test_no_password_in_repr")
class ShowsItsUrlAsWritten(Shelf):
    """The repr shows the URL, in which the password is quoted."""

    url = URL.replace("hunter2", "hunter%402")

    def __repr__(self):
        return f"ShowsItsUrlAsWritten({self.url})"


def connect():
    """Connect to a port that nobody listens on."""
    with closing(socket.socket()) as client, suppress(OSError):
        client.connect(("127.0.0.1", 9))


@broken("test_no_early_io")
class ConnectsInTheHook(Shelf):
    """The hook connects."""

    @classmethod
    def check_options(cls, settings):
        connect()


class ConnectingBackend(ToyBackend):
    """Creating a store connects."""

    def create_store(self):
        connect()
        return self.store


@broken("test_no_early_io")
class ConnectsAtCreation(Shelf):
    """The store connects when it is created."""

    @classmethod
    def create_backend(cls, settings):
        return ConnectingBackend(shared(cls))


class ConnectedBackend(ToyBackend):
    """Creating a store leaves a socket, of which no audit event tells: as a driver in C does."""

    def create_store(self):
        self.store.sockets = socket.socketpair()
        return self.store


@broken("test_no_early_io")
class ConnectsInC(Shelf):
    """The store connects when it is created, by a driver in C."""

    @classmethod
    def create_backend(cls, settings):
        return ConnectedBackend(shared(cls))


@broken("test_no_early_io")
class WritesAFile(Shelf):
    """The hook creates a file."""

    @classmethod
    def check_options(cls, settings):
        with open(os.devnull, "w"):
            pass


class OpeningBackend(ToyBackend):
    """Each store is a new one."""

    def create_store(self):
        return self.store()


class Opened(Shelf):
    """Stores that are opened and closed have records in common."""

    records = {}  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.records = type(self).records

    @classmethod
    def create_backend(cls, settings):
        return OpeningBackend(cls)


@broken("test_closed_store")
class LeavesASocket(Opened):
    """Closing leaves the socket open."""

    def write(self, address, data, ttl_ms, *, deadline):
        self.socket = socket.socket()
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_files_of_closed_stores")
class LeavesAFile(Opened):
    """Closing leaves a file open that no Python object knows, as a driver in C does."""

    def read(self, address, *, deadline):
        os.open(os.devnull, os.O_RDONLY)
        return super().read(address, deadline=deadline)


@broken("test_closed_store")
class LeavesAThread(Opened):
    """Closing leaves the thread that sends heartbeats."""

    thread = None

    def write(self, address, data, ttl_ms, *, deadline):
        self.thread = self.thread or threading.Thread(target=threading.Event().wait, daemon=True)
        if not self.thread.is_alive():
            self.thread.start()
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_closed_store")
class ClosesOnlyOnce(Opened):
    """Closing a second time raises."""

    is_closed = False

    def close(self):
        if self.is_closed:
            raise StorageError("already closed")
        self.is_closed = True
