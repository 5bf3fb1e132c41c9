"""Every error that Fibonacci raises, in one tree.

::

    FibonacciError
    ├── ConfigurationError            a setting, a URL or an option is wrong
    ├── PluginError                   a plugin can't be used
    │   ├── PluginNotFoundError       unknown, or not installed
    │   ├── PluginLoadError           installed, but broken
    │   ├── PluginConflictError       provided by two distributions
    │   └── PluginIncompatibleError   written for another version of the hook specs
    ├── InvalidKeyError               a key breaks the rules for keys
    ├── InvalidArgumentError          another argument is invalid
    ├── ScopeError                    scope, user id and organization id don't fit together
    ├── SerializationError            a value is not strict JSON
    ├── WrongTypeError                the stored value has the wrong type for the method
    ├── StorageError                  the store could not complete the operation
    │   ├── BackendUnavailableError   certainly not applied
    │   ├── OutcomeUnknownError       perhaps applied: the response was lost
    │   ├── ConflictError             other writers won until the deadline
    │   ├── ValueTooLargeError        over a limit; nothing was written
    │   └── CorruptRecordError        the stored bytes are not a record
    ├── EncryptionError               a value can't be sealed, or there is no encryption
    │   └── DecryptionError           a value can't be opened
    ├── TemplateError                 a template is invalid, or a value is missing
    ├── ModelError                    a model returned no usable completion
    └── WorkflowError                 a workflow can't run, or did not finish
        ├── WorkflowValidationError   its nodes don't fit together
        └── NodeExecutionError        a node failed; it has the others' results
            └── WorkflowTimeoutError  a node, or the whole run, exceeded its timeout

A message says what is wrong, where, and how to fix it. No error has the name of a built-in
exception. A driver's exception is never raised itself: it is the ``__cause__``, or is left out if
its text may quote a value, or a URL with a password.
"""


class FibonacciError(Exception):
    """The base of all errors: ``except FibonacciError`` catches everything Fibonacci raises."""


class ConfigurationError(FibonacciError, ValueError):
    """A setting, a connection URL or an option is wrong, or does not fit another one.

    ``MemoryConfig()`` or ``Workflow()`` raises it, before it connects to anything or writes
    anything.
    """


class PluginError(FibonacciError):
    """A plugin can't be used.

    ``Workflow()`` raises it for a backend, a cipher or a template engine. ``validate`` and
    ``execute`` raise it for a model, before any node runs.
    """


class PluginNotFoundError(PluginError):
    """No plugin of this name is installed; the message says which are, or what to install."""


class PluginLoadError(PluginError):
    """The plugin is installed, but its import or its hook failed; the message names the error.

    Fix or upgrade its distribution. Other installed plugins are not affected.
    """


class PluginConflictError(PluginError):
    """Two distributions provide a plugin of the same name; uninstall one of them."""


class PluginIncompatibleError(PluginError):
    """The plugin needs another version of the hook specs, or declares none.

    The message says what to do.
    """


class InvalidKeyError(FibonacciError, ValueError):
    """A key breaks the rules: a non-empty ``str`` of at most 1,000 bytes, no NUL, no surrogate.

    Nothing was read or written.
    """


class InvalidArgumentError(FibonacciError, ValueError):
    """An argument other than the key has a wrong type or value; nothing was read or written."""


class ScopeError(FibonacciError, ValueError):
    """The scope is unknown, or does not fit the user or organization id.

    Nothing was read or written. The user scope needs a ``user_id``; other scopes refuse one. In a
    run with a user, methods for all records of a scope (``ctx.memory.clear``) need an explicit
    scope.
    """


class SerializationError(FibonacciError, TypeError, ValueError):
    """The value is not strict JSON; the message names the path of the invalid part.

    The old value is unchanged.
    """


class WrongTypeError(FibonacciError, TypeError):
    """The stored value does not have the type that the method needs; nothing was written."""


class StorageError(FibonacciError):
    """The store could not complete the operation.

    Raised itself, and not a subclass, if a retry will not help. Either the store refused the
    operation (wrong password, no permission, a missing table, an untrusted certificate), or it was
    closed, or its backend has a defect: it raised an exception of another library. Then the message
    has the type and the line of that exception, and says whether a change may have been applied.
    """


class BackendUnavailableError(StorageError):
    """The store is unreachable, or did not respond in time; certainly nothing was written.

    It is safe to repeat the call. Core has already retried until the timeout. Of a batch or a
    ``clear``, which may take several requests, this is about the last one: earlier ones stay.
    """


class OutcomeUnknownError(StorageError):
    """The response was lost; the operation may have been applied, or not.

    Read the record before you repeat the call.
    """


class ConflictError(StorageError):
    """Other writers kept changing the record until the deadline; nothing was written.

    Increase the timeout, or let fewer writers share one record.
    """


class ValueTooLargeError(StorageError):
    """The value is over a limit: 16 MiB everywhere, less on some backends; nothing was written.

    ``size`` is the size of the value and ``limit`` the maximum, both in bytes; None if the backend
    does not report them. Store less under one key: use several keys, shorter items, or a link to
    data that is stored elsewhere. ``append(..., max_items=n)`` drops the oldest items.
    """

    def __init__(self, message: str, *, size: int | None = None, limit: int | None = None) -> None:
        """``size`` and ``limit`` are in bytes; None if they are unknown."""
        super().__init__(message)
        self.size = size
        self.limit = limit


class CorruptRecordError(StorageError):
    """The stored bytes were not written by Fibonacci, or are damaged.

    A default never hides this error. ``delete`` removes the record, ``set`` replaces it.
    """


class EncryptionError(FibonacciError):
    """A value can't be sealed, no key can be derived, or rewrap was called without encryption.

    Nothing was written.
    """


class DecryptionError(EncryptionError):
    """A record can't be opened: wrong key, modified or moved bytes, or not the expected format.

    A default never hides this error, and nothing of the record reaches a model. ``delete`` and
    ``set`` still work: they don't need the old value.
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
    that was rejected, which no message and no repr shows, and ``usage`` its tokens, if they are
    known. The error is the cause of its node's NodeExecutionError.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        answer: str | None = None,
        usage: object = None,
    ) -> None:
        """``retryable``: another attempt may succeed, after ``retry_after`` seconds or more."""
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.answer = answer
        self.usage = usage


class WorkflowError(FibonacciError):
    """A workflow can't run, or did not finish."""


class WorkflowValidationError(WorkflowError, ValueError):
    """A node is invalid, or the nodes don't fit together; nothing was run."""


class NodeExecutionError(WorkflowError):
    """A node failed, after all its attempts; ``node_id`` says which, and ``cause`` why.

    It has written no memory, unless one of its writes failed: then the records before that one are
    written. ``results`` holds the outputs of the nodes that succeeded (their memory writes stay),
    ``trace`` how each of them and the failed ones ran, as in an ExecutionResult, and ``usage`` the
    sum of their tokens. ``output`` is that of the failed node if only its memory could not be
    written, else None. ``run_id`` names the run, as in its requests to models.

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
        output: object = None,
        run_id: str = "",
    ) -> None:
        """``node_id`` failed because of ``cause``; ``output`` is what it could not write.

        ``results`` are those of the nodes that succeeded; ``trace`` and ``usage`` those of all that
        have run.
        """
        super().__init__(message)
        self.node_id = node_id
        self.cause = cause
        self.results = results or {}
        self.trace = trace or {}
        self.usage = usage
        self.output = output
        self.run_id = run_id

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

    ``node_id`` is the node that had not finished. It writes nothing; what other nodes wrote before
    stays. ``except NodeExecutionError`` catches it too: put this one first.
    """
