"""What a function of a FunctionNode is called with."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fibonacci._memory.runs import RunMemory


@attrs.frozen(kw_only=True)
class NodeContext:
    """One run, as a function sees it."""

    inputs: Mapping[str, Any] = attrs.field(repr=False)
    """The inputs of the execution."""
    results: Mapping[str, Any] = attrs.field(repr=False)
    """The outputs of its ``dependencies``, by id."""
    recalled: Mapping[str, Any] = attrs.field(repr=False)
    """The values of ``memory_read``, by name; without those that are not there."""
    user_id: str | None
    """The user of the execution."""
    organization_id: str
    """The organization of the execution."""
    _remember: Callable[[], RunMemory] = attrs.field(repr=False, alias="remember")

    @property
    def memory(self) -> RunMemory:
        """The workflow's memory, bound to this run: its user scope is that of the run's user.

        A verb without a scope is about the run's user where it has one, else about the workflow.
        """
        return self._remember()
