"""The order of a run: each node as soon as those that it waits for have ended."""

from collections import deque
from threading import Lock
from typing import NamedTuple

from fibonacci._workflow.graph import Graph
from fibonacci._workflow.node_run import run_node
from fibonacci._workflow.run import Run
from fibonacci._workflow.step import Step
from fibonacci.plugin._runtime.threads import NoThreadError


class Failure(NamedTuple):
    """A node that failed."""

    step: Step
    cause: BaseException
    overdue: bool
    """Whether the run's own time was over then."""


class Schedule:
    """The nodes of one run: those that wait, those that could go on, and how many are at it.

    A strand runs one node after the other. Who ends a node looks what it has set free: it goes on
    with one of these itself, and starts a strand for each of the others, up to the limit.
    """

    def __init__(self, graph: Graph, run: Run, limit: int | None) -> None:
        self._graph = graph
        self._run = run
        self._limit = limit or len(graph.steps)
        self._lock = Lock()
        self._needs = dict(graph.needs)
        self._ready = deque(graph.first)
        self._strands = 0
        self.failure: Failure | None = None
        """The first one."""

    async def go(self) -> None:
        """Run all nodes; where one fails, those that have started, and no other."""
        try:
            await self._strand(self._next(None))
            self._run.voice.check()
            await self._run.voice.settle()
        except BaseException:
            self._run.abandoned = True
            await self._run.voice.abandon()
            raise

    async def _strand(self, step: Step | None) -> None:
        while step is not None:
            try:
                await run_node(step, self._run)
            except Exception as fault:  # noqa: BLE001 - whatever a node raises is told once
                self._fail(step, fault)
            except BaseException as fault:
                self._fail(step, fault)
                self._next(step)
                raise
            step = self._next(step)

    def _next(self, ended: Step | None) -> Step | None:
        """Return the node for this strand to go on with, if any, and start strands for others."""
        with self._lock:
            if ended is None:
                self._strands += 1
            elif self.failure is None:
                self._set_free(ended)
            if self.failure is not None:
                self._ready.clear()
            if not self._ready:
                self._strands -= 1
                return None
            own = self._ready.popleft()
            others = [
                self._ready.popleft()
                for _ in range(min(len(self._ready), self._limit - self._strands))
            ]
            self._strands += len(others)
        for other in others:
            self._start(other)
        return own

    def _start(self, step: Step) -> None:
        strand = self._strand(step)
        try:
            self._run.voice.start(strand)
        except NoThreadError:  # the system has no thread left: a strand that is there takes it over
            strand.close()
            with self._lock:
                self._strands -= 1
                self._ready.append(step)

    def _set_free(self, ended: Step) -> None:
        for step in self._graph.after[ended.node.id]:
            self._needs[step.node.id] -= 1
            if not self._needs[step.node.id]:
                self._ready.append(step)

    def _fail(self, step: Step, fault: BaseException) -> None:
        with self._lock:
            if self.failure is None:
                self.failure = Failure(step, fault, self._run.is_overdue())
