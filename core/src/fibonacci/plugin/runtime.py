"""What backends, ciphers and models need beside their contract, and need not write again.

Nothing of it has to be used. What takes a ``deadline`` takes a reading of ``time.monotonic()``, in
seconds, and has ended by then.
"""

from fibonacci.plugin._runtime.backoff import backoff
from fibonacci.plugin._runtime.deadlines import (
    DeadlineExceeded,
    seconds_left,
    share_deadline,
    timeout_at,
)
from fibonacci.plugin._runtime.expiry import expires_at_ms, now_ms, ttl_left_ms
from fibonacci.plugin._runtime.fair_queue import FairQueue
from fibonacci.plugin._runtime.forks import leave_to_parent, on_fork
from fibonacci.plugin._runtime.idle_pool import IdlePool
from fibonacci.plugin._runtime.logs import drop_log_records
from fibonacci.plugin._runtime.names import aresolve, resolve
from fibonacci.plugin._runtime.outcomes import unanswered
from fibonacci.plugin._runtime.per_loop import PerLoop
from fibonacci.plugin._runtime.registry import SharedByKey
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.single_flight import SingleFlight
from fibonacci.plugin._runtime.suggestions import did_you_mean
from fibonacci.plugin._runtime.systems import require_poll
from fibonacci.plugin._runtime.thread_flight import ThreadFlight
from fibonacci.plugin._runtime.threads import NoThreadError, call_in_thread, hand_over, in_thread
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter, Waiter

__all__ = [
    "DeadlineExceeded",
    "FairQueue",
    "IdlePool",
    "NoThreadError",
    "PerLoop",
    "SharedByKey",
    "SingleFlight",
    "TaskWaiter",
    "ThreadFlight",
    "ThreadWaiter",
    "Waiter",
    "aresolve",
    "backoff",
    "call_in_thread",
    "did_you_mean",
    "drop_log_records",
    "expires_at_ms",
    "hand_over",
    "in_thread",
    "leave_to_parent",
    "now_ms",
    "on_fork",
    "raise_for_signal",
    "require_poll",
    "resolve",
    "seconds_left",
    "share_deadline",
    "timeout_at",
    "ttl_left_ms",
    "unanswered",
]
