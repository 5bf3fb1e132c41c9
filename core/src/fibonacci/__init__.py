"""Memory for stateful LLM workflows: one exact contract, kept by every backend."""

from fibonacci._discovery import PluginInfo, plugins, register_plugin
from fibonacci._memory.config import MemoryConfig
from fibonacci._memory.expiry import NO_EXPIRY
from fibonacci._memory.manager import MemoryManager, MemoryView
from fibonacci._workflow.workflow import Workflow
from fibonacci.errors import (
    BackendUnavailableError,
    ConfigurationError,
    ConflictError,
    CorruptRecordError,
    DecryptionError,
    EncryptionError,
    FibonacciError,
    InvalidArgumentError,
    InvalidKeyError,
    OutcomeUnknownError,
    PluginConflictError,
    PluginError,
    PluginIncompatibleError,
    PluginLoadError,
    PluginNotFoundError,
    ScopeError,
    SerializationError,
    StorageError,
    ValueTooLargeError,
    WrongTypeError,
)

__version__ = "0.1.0"

__all__ = [
    "NO_EXPIRY",
    "BackendUnavailableError",
    "ConfigurationError",
    "ConflictError",
    "CorruptRecordError",
    "DecryptionError",
    "EncryptionError",
    "FibonacciError",
    "InvalidArgumentError",
    "InvalidKeyError",
    "MemoryConfig",
    "MemoryManager",
    "MemoryView",
    "OutcomeUnknownError",
    "PluginConflictError",
    "PluginError",
    "PluginIncompatibleError",
    "PluginInfo",
    "PluginLoadError",
    "PluginNotFoundError",
    "ScopeError",
    "SerializationError",
    "StorageError",
    "ValueTooLargeError",
    "Workflow",
    "WrongTypeError",
    "plugins",
    "register_plugin",
]
