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
    ├── EncryptionError               a value can't be sealed
    │   └── DecryptionError           a value can't be opened
    ├── TemplateError                 a template is invalid, or a value is missing
    ├── ModelError                    a model returned no usable completion
    └── WorkflowError                 a workflow can't run, or did not finish
        ├── WorkflowValidationError   its nodes don't fit together
        └── NodeExecutionError        a node failed; it has the others' results
            └── WorkflowTimeoutError  a node, or the whole run, exceeded its timeout

A message says what is wrong, where, and how to mend it. No built-in exception is shadowed, and no
driver's exception leaks: it is chained as ``__cause__``, or left out where its text may quote a URL
with a password, or a value.
"""


class FibonacciError(Exception):
    """The root of the tree: ``except FibonacciError`` catches all that Fibonacci raises."""


class ConfigurationError(FibonacciError, ValueError):
    """A setting, a connection URL or an option is wrong, or does not fit another one.

    Raised where it is given: by ``MemoryConfig()`` or ``Workflow()``, before anything is connected
    to or written.
    """


class PluginError(FibonacciError):
    """A plugin can't be had.

    Raised by ``Workflow()`` for a backend, an encryption or a template engine, and by ``validate``
    and ``execute`` for a model, before any node runs.
    """


class PluginNotFoundError(PluginError):
    """No plugin of that name is installed; the message says which are, or what to install."""


class PluginLoadError(PluginError):
    """The plugin is installed, but its import or its hook failed; the message names the error.

    Mend or upgrade that distribution. Others that are installed work on.
    """


class PluginConflictError(PluginError):
    """Two distributions provide a plugin of the same name; uninstall one of them."""


class PluginIncompatibleError(PluginError):
    """The plugin speaks a version of the hook specs that this core does not: upgrade the older."""


class InvalidKeyError(FibonacciError, ValueError):
    """A key breaks the rules: a non-empty ``str`` of at most 1,000 bytes, no NUL, no surrogate.

    Nothing was read or written.
    """


class InvalidArgumentError(FibonacciError, ValueError):
    """An argument other than the key has a wrong type or value; nothing was read or written."""


class ScopeError(FibonacciError, ValueError):
    """The scope is unknown, or does not fit the user or organization id that came with it.

    Nothing was read or written. The user scope needs a ``user_id``; no other takes one. In a run
    with a user, what takes all records of a scope (``ctx.memory.clear``) has to name it.
    """


class SerializationError(FibonacciError, TypeError, ValueError):
    """The value is not strict JSON; the message names the path of the part that is not.

    The old value is still there.
    """


class WrongTypeError(FibonacciError, TypeError):
    """The stored value is not of the type that the verb works on; nothing was written."""


class StorageError(FibonacciError):
    """The store could not do what it was asked.

    Raised as such where the store refuses (no permission, a table that is missing) or was closed:
    another try will not help.
    """


class BackendUnavailableError(StorageError):
    """The store can't be reached, or did not answer in time; nothing was written, for sure.

    It is safe to do it again. Core has tried until the timeout already.
    """


class OutcomeUnknownError(StorageError):
    """The answer was lost; the operation may have been applied, or not.

    Read what is there before you do it again.
    """


class ConflictError(StorageError):
    """Other writers kept changing the record until the deadline; nothing was written.

    Raise the timeout, or let fewer writers share one record.
    """


class ValueTooLargeError(StorageError):
    """The value is over a limit: 16 MiB everywhere, less on some backends; nothing was written.

    ``size`` is what it takes, ``limit`` what there is room for, both in bytes; None where the
    backend does not say. Store less under one key: several keys, shorter items, a link to what is
    kept elsewhere; ``append(..., max_items=n)`` lets the oldest items make room.
    """

    def __init__(self, message: str, *, size: int | None = None, limit: int | None = None) -> None:
        """Say how many bytes it takes, and how many there is room for."""
        super().__init__(message)
        self.size = size
        self.limit = limit


class CorruptRecordError(StorageError):
    """The stored bytes are not a record of ours, or were damaged.

    Never read as a default. ``delete`` removes the record, ``set`` replaces it.
    """


class EncryptionError(FibonacciError):
    """A value can't be sealed, or encryption is set up wrongly; nothing was written."""


class DecryptionError(EncryptionError):
    """A record can't be opened: wrong key, changed or moved bytes, or not the expected format.

    Never read as a default, and nothing of it reaches a model. ``delete`` and ``set`` need no old
    value: they work.
    """


class TemplateError(FibonacciError):
    """A template can't be compiled, or references a value that does not exist.

    ``add_node`` raises it if the template can't be compiled. ``line`` and ``column`` count from 1;
    ``name`` is the missing name, and ``nearest`` the most similar one that exists.
    """

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        name: str | None = None,
        nearest: str | None = None,
    ) -> None:
        """``line`` and ``column`` count from 1; ``name`` is missing, ``nearest`` exists."""
        super().__init__(message)
        self.line = line
        self.column = column
        self.name = name
        self.nearest = nearest


class ModelError(FibonacciError):
    """A model did not complete the request, or its completion is not usable.

    ``retryable`` says whether another attempt may succeed, and ``retry_after`` after how many
    seconds at the earliest; ``Retry`` honors both. ``answer`` is the whole text of a completion
    that was rejected; no message and no repr shows it. It is the cause of its node's
    NodeExecutionError.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        answer: str | None = None,
    ) -> None:
        """``retryable``: another attempt may succeed, after ``retry_after`` seconds or more."""
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.answer = answer


class WorkflowError(FibonacciError):
    """A workflow can't run, or did not finish."""


class WorkflowValidationError(WorkflowError, ValueError):
    """A node is invalid, or the nodes don't fit together; nothing was run."""


class NodeExecutionError(WorkflowError):
    """A node failed, after all its attempts; ``node_id`` says which, and ``cause`` why.

    The node has written no memory. ``results`` holds the outputs of the nodes that succeeded (their
    memory writes stay), ``trace`` how each of them ran, as in an ExecutionResult, and ``usage``
    the sum of their tokens.

    The message includes the text of Fibonacci's errors, and of what the function of a FunctionNode
    raised. Of an exception of a model or a driver it includes only the type: its text may quote a
    key or a prompt. The error can be pickled: a cause that can't be becomes an Exception with its
    type and text, and an output or an added attribute that can't be is left out.
    """

    def __init__(
        self,
        message: str,
        *,
        node_id: str = "",
        cause: BaseException | None = None,
        results: "dict[str, object] | None" = None,
        trace: "dict[str, object] | None" = None,
        usage: object = None,
    ) -> None:
        """``node_id`` failed because of ``cause``; the others are about nodes that succeeded."""
        super().__init__(message)
        self.node_id = node_id
        self.cause = cause
        self.results = results or {}
        self.trace = trace or {}
        self.usage = usage

    def __setstate__(self, state: "dict[str, object] | None") -> None:
        """Restore the pickled state, and chain the cause again."""
        super().__setstate__(state)
        self.__cause__ = self.cause

    def __copy__(self) -> "NodeExecutionError":
        """Copy all attributes, whether or not they can be pickled."""
        copy = type(self)(*self.args)
        copy.__setstate__(self.__dict__)
        return copy


class WorkflowTimeoutError(NodeExecutionError):
    """A node exceeded its timeout, or the whole run exceeded the workflow's.

    ``node_id`` is the node that was still running. It writes nothing; what other nodes wrote before
    stays. ``except NodeExecutionError`` catches it too: put this one first.
    """
