"""Stateful LLM workflows: nodes, and a memory with one exact contract, kept by every backend."""

from fibonacci._discovery import PluginInfo, plugins, register_plugin
from fibonacci._memory.config import MemoryConfig, generate_key
from fibonacci._memory.expiry import NO_EXPIRY
from fibonacci._memory.history.history import History, HistoryInfo, Turn
from fibonacci._memory.manager import MemoryManager, MemoryView, RunMemory
from fibonacci._memory.reads import MemoryKey
from fibonacci._workflow.context import NodeContext
from fibonacci._workflow.events import (
    Event,
    MemoryWritten,
    NestedEvent,
    NodeFailed,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    NodeText,
    WorkflowFinished,
)
from fibonacci._workflow.history_spec import HistoryCompaction, NodeHistory
from fibonacci._workflow.memory_spec import MemoryRead, MemoryWrite
from fibonacci._workflow.nodes import FunctionNode, LLMNode, Node, literal
from fibonacci._workflow.result import CompactionTrace, ExecutionResult, NodeTrace
from fibonacci._workflow.retry import Retry
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
    ModelError,
    NodeExecutionError,
    OutcomeUnknownError,
    PluginConflictError,
    PluginError,
    PluginIncompatibleError,
    PluginLoadError,
    PluginNotFoundError,
    ScopeError,
    SerializationError,
    StorageError,
    TemplateError,
    ValueTooLargeError,
    WorkflowError,
    WorkflowTimeoutError,
    WorkflowValidationError,
    WrongTypeError,
)
from fibonacci.plugin.address import Scope

__version__ = "0.1.0"

__all__ = [
    "NO_EXPIRY",
    "BackendUnavailableError",
    "CompactionTrace",
    "ConfigurationError",
    "ConflictError",
    "CorruptRecordError",
    "DecryptionError",
    "EncryptionError",
    "Event",
    "ExecutionResult",
    "FibonacciError",
    "FunctionNode",
    "History",
    "HistoryCompaction",
    "HistoryInfo",
    "InvalidArgumentError",
    "InvalidKeyError",
    "LLMNode",
    "MemoryConfig",
    "MemoryKey",
    "MemoryManager",
    "MemoryRead",
    "MemoryView",
    "MemoryWrite",
    "MemoryWritten",
    "ModelError",
    "NestedEvent",
    "Node",
    "NodeContext",
    "NodeExecutionError",
    "NodeFailed",
    "NodeFinished",
    "NodeHistory",
    "NodeRetried",
    "NodeStarted",
    "NodeText",
    "NodeTrace",
    "OutcomeUnknownError",
    "PluginConflictError",
    "PluginError",
    "PluginIncompatibleError",
    "PluginInfo",
    "PluginLoadError",
    "PluginNotFoundError",
    "Retry",
    "RunMemory",
    "Scope",
    "ScopeError",
    "SerializationError",
    "StorageError",
    "TemplateError",
    "Turn",
    "ValueTooLargeError",
    "Workflow",
    "WorkflowError",
    "WorkflowFinished",
    "WorkflowTimeoutError",
    "WorkflowValidationError",
    "WrongTypeError",
    "generate_key",
    "literal",
    "plugins",
    "register_plugin",
]
