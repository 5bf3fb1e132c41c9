"""Compaction of a node's history: a model summarizes the turns that no longer fit into its window.

It runs beside the other nodes once the turn was added, so neither the node's text nor the nodes
that depend on it wait for a summary; the run does, until its deadline. A summary that fails changes
nothing: the run's trace says why.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Final

from fibonacci._memory.history.compaction import Compaction, summary_limit
from fibonacci._memory.history.messages import BYTES_PER_TOKEN
from fibonacci._workflow.conversation import Conversation
from fibonacci._workflow.failures import message_of
from fibonacci._workflow.models import check_completion
from fibonacci._workflow.reasoning import after_reasoning
from fibonacci._workflow.result import CompactionTrace
from fibonacci._workflow.run import WorkflowRun
from fibonacci._workflow.runtime import RunCancelled
from fibonacci._workflow.timeouts import NodeDeadlineExceeded
from fibonacci.errors import InvalidArgumentError, ModelError, StorageError
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.threads import NoThreadError
from fibonacci.plugin.models import Message, ModelRequest, Usage

INSTRUCTIONS: Final = (
    "You summarize conversations for the assistant that continues them. Keep names, facts, "
    "numbers, decisions, wishes and open questions. Reply with the summary only."
)

RUN_ENDED: Final = "the run was stopped, or a node failed"

MAX_PORTIONS: Final = 4
"""Requests for summaries in one run. Where more turns were added before, later runs go on."""


async def compact_if_needed(
    run: WorkflowRun, node_id: str, conversation: Conversation, answer: str
) -> None:
    """Have the history summarized beside the other nodes, if it has outgrown its window."""
    if not conversation.has_outgrown_its_window(answer):
        return
    worker = _compact(run, node_id, conversation)
    try:
        run.runtime.start(worker)
    except NoThreadError:  # the system has no thread left
        await worker


async def _compact(run: WorkflowRun, node_id: str, conversation: Conversation) -> None:
    """Summarize, and note in the run how it ended, whatever the model raises."""
    summarizer = _Summarizer(run, node_id, conversation)
    stored, problem = False, None
    try:
        stored = await summarizer.run()
    except RunCancelled:
        problem = RUN_ENDED
    except (NodeDeadlineExceeded, StorageError) as error:
        problem = message_of(error)
        if run.is_overdue():
            problem = f"no summary within the workflow's timeout of {run.timeout} s"
    except Exception as error:  # noqa: BLE001 - whatever a model raises: the run is unharmed
        raise_for_signal(error)
        problem = message_of(error)
        if isinstance(error, ModelError) and isinstance(error.usage, Usage):
            summarizer.usage += error.usage
    except BaseException as error:
        run.interruption, problem = error, type(error).__name__
        raise
    finally:
        run.compactions[node_id] = CompactionTrace(
            stored=stored, usage=summarizer.usage, error=problem
        )
        if problem is not None and problem != RUN_ENDED:
            reason, _, _ = problem.partition(":")  # of an error, its type
            get_logger("workflow").warning(
                "the history of node %r was not summarized: %s", node_id, reason
            )


class _Summarizer:
    """Has a model summarize the history of one node."""

    def __init__(self, run: WorkflowRun, node_id: str, conversation: Conversation) -> None:
        spec = conversation.compiled.spec
        assert spec.compact is not None
        self._run = run
        self._node_id = node_id
        self._max_tokens = spec.max_tokens
        self._keep_tokens = spec.compact.keep_tokens
        self._records = conversation.history._records
        self.usage = Usage()

    async def run(self) -> bool:
        """Return whether a summary was stored."""
        deadline = self._run.deadline
        if self._run.is_overdue():
            raise NodeDeadlineExceeded
        compaction = Compaction(
            self._records if deadline is None else self._records.until(deadline),
            self._summarize,
            keep_tokens=self._keep_tokens,
            portion_tokens=self._max_tokens,
            max_portions=MAX_PORTIONS,
            writing=self._writing,
        )
        return await compaction.run()

    async def _summarize(self, messages: list[Message]) -> str:
        self._raise_if_ended()
        run, limit = self._run, summary_limit(self._keep_tokens, self._max_tokens)
        request = ModelRequest(
            prompt=summary_prompt(messages, limit, self._max_tokens),
            system_prompt=INSTRUCTIONS,
            max_tokens=limit,
            deadline=run.deadline,
            user_id=run.user_id,
            run_id=run.id,
            node_id=self._node_id,
        )
        completion = await run.runtime.complete(run.summary_models[self._node_id], request)
        check_completion(completion)
        self.usage += completion.usage
        self._raise_if_ended()
        if completion.stop_reason == "max_tokens":
            raise InvalidArgumentError(
                f"the summary was cut off at {limit:,} tokens, and was not stored: have the model "
                f"write a shorter one, or raise keep_tokens"
            )
        return after_reasoning(completion).strip()

    def _raise_if_ended(self) -> None:
        """Raise if nobody waits for the run any more: its summaries would only cost."""
        self._run.raise_if_cancelled()
        if self._run.has_failed:
            raise RunCancelled

    @contextmanager
    def _writing(self) -> Iterator[None]:
        channel = self._run.channel
        with nullcontext() if channel is None else channel.writing():
            self._run.raise_if_cancelled()  # from here on, the channel's close() waits
            yield


def summary_prompt(messages: Sequence[Message], limit: int, max_tokens: int) -> str:
    """Return the prompt for a summary of at most ``limit`` tokens, by the history's estimate.

    The conversation is in it, as not every model takes messages; with up to ``max_tokens`` tokens:
    a turn that is larger is shortened, or no later turn could ever be summarized.
    """
    size = max_tokens * BYTES_PER_TOKEN
    texts = [_as_text(message) for message in messages]
    if sum(map(len, texts)) > size:
        texts = [_shortened(text, size // len(texts)) for text in texts]
    transcript = "\n".join(texts)
    return f"{transcript}\n\nSummarize this conversation in at most {limit // 2} words."


def _shortened(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[:size]} […]"


def _as_text(message: Message) -> str:
    """Return a message as lines. The later ones are indented: none looks like another message."""
    role, content = message["role"], message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    if not isinstance(content, str):
        rest["content"], content = content, ""
    parts = [content, json.dumps(rest, ensure_ascii=False) if any(rest.values()) else ""]
    lines = [line for part in parts for line in part.splitlines()]
    return "\n    ".join([f"{role}: {lines[0] if lines else ''}", *lines[1:]])
