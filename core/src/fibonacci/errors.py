"""Every error that Fibonacci raises, in one tree.

::

    FibonacciError
    ├── ConfigurationError            a setting, a URL or an option is wrong
    ├── PluginError                   a plugin can't be had
    │   ├── PluginNotFoundError       unknown, or not installed
    │   ├── PluginLoadError           installed, and broken
    │   ├── PluginConflictError       two distributions provide it
    │   └── PluginIncompatibleError   it speaks another version of the hook specs
    ├── InvalidKeyError               a key breaks the rules for keys
    ├── InvalidArgumentError          another argument does
    ├── ScopeError                    scope, user id and organization id don't fit together
    ├── SerializationError            a value is not strict JSON
    ├── WrongTypeError                the stored value has another type than the verb needs
    ├── StorageError                  the store did not do it
    │   ├── BackendUnavailableError   surely not applied
    │   ├── OutcomeUnknownError       perhaps applied: the answer was lost
    │   ├── ConflictError             other writers won until the deadline
    │   ├── ValueTooLargeError        over a limit; nothing was written
    │   └── CorruptRecordError        the stored bytes are not a record
    └── EncryptionError               a value can't be sealed
        └── DecryptionError           a value can't be opened

A message says what is wrong, where, and how to mend it. No built-in exception is shadowed, and no
driver's exception leaks: it is chained as ``__cause__``, or left out where its text may quote a URL
with a password, or a value.
"""


class FibonacciError(Exception):
    """The root of the tree: ``except FibonacciError`` catches all that Fibonacci raises."""


class ConfigurationError(FibonacciError, ValueError):
    """A setting, a connection URL or an option is wrong, or does not fit another one."""


class PluginError(FibonacciError):
    """A plugin can't be had."""


class PluginNotFoundError(PluginError):
    """No plugin of that name is installed; the message says which are, or what to install."""


class PluginLoadError(PluginError):
    """The plugin is installed, but its import or its hook failed; the message names the error."""


class PluginConflictError(PluginError):
    """Two distributions provide a plugin of the same name."""


class PluginIncompatibleError(PluginError):
    """The plugin speaks a version of the hook specs that this core does not."""


class InvalidKeyError(FibonacciError, ValueError):
    """A key breaks the rules: a non-empty ``str`` of at most 1,000 bytes, no NUL, no surrogate."""


class InvalidArgumentError(FibonacciError, ValueError):
    """An argument other than the key has a wrong type or value."""


class ScopeError(FibonacciError, ValueError):
    """The scope is unknown, or does not fit the user or organization id that came with it."""


class SerializationError(FibonacciError, TypeError, ValueError):
    """The value is not strict JSON; the message names the path of the part that is not."""


class WrongTypeError(FibonacciError, TypeError):
    """The stored value is not of the type that the verb works on; nothing was written."""


class StorageError(FibonacciError):
    """The store could not do what it was asked."""


class BackendUnavailableError(StorageError):
    """The store can't be reached; the operation surely was not applied."""


class OutcomeUnknownError(StorageError):
    """The answer was lost; the operation may have been applied, or not."""


class ConflictError(StorageError):
    """Other writers kept changing the record until the deadline; nothing was written."""


class ValueTooLargeError(StorageError):
    """The value is over a limit; nothing was written."""


class CorruptRecordError(StorageError):
    """The stored bytes are not a record of ours, or were damaged."""


class EncryptionError(FibonacciError):
    """A value can't be sealed, or encryption is set up wrongly."""


class DecryptionError(EncryptionError):
    """A record can't be opened: wrong key, changed or moved bytes, or not the expected format."""
