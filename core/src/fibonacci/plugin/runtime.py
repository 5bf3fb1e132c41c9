"""What backends, ciphers and models need beside their contract, and need not write again.

Nothing of it has to be used. What takes a ``deadline`` takes a reading of ``time.monotonic()``, in
seconds, and has ended by then.
"""

from fibonacci.plugin._runtime.backoff import backoff
from fibonacci.plugin._runtime.certificates import (
    ca_directory_problem,
    ca_file_problem,
    private_key_problem,
    trust_store_problem,
    verification_failure,
)
from fibonacci.plugin._runtime.deadlines import (
    DeadlineExceeded,
    seconds_left,
    share_deadline,
    timeout_at,
)
from fibonacci.plugin._runtime.expiry import expires_at_ms, now_ms, remaining_ttl_ms
from fibonacci.plugin._runtime.fair_queue import FairQueue
from fibonacci.plugin._runtime.forks import keep_alive_in_child, on_fork
from fibonacci.plugin._runtime.hosts import host_problem
from fibonacci.plugin._runtime.idle_pool import IdlePool
from fibonacci.plugin._runtime.logs import drop_log_records
from fibonacci.plugin._runtime.names import aresolve_host, resolve_host
from fibonacci.plugin._runtime.outcomes import no_response_error
from fibonacci.plugin._runtime.per_loop import PerLoop
from fibonacci.plugin._runtime.registry import SharedByKey
from fibonacci.plugin._runtime.shells import shell_syntax_problem
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.single_flight import SingleFlight
from fibonacci.plugin._runtime.suggestions import did_you_mean
from fibonacci.plugin._runtime.systems import require_poll
from fibonacci.plugin._runtime.thread_flight import ThreadSingleFlight
from fibonacci.plugin._runtime.threads import (
    NoThreadError,
    call_in_thread,
    run_in_thread,
    submit_to_thread,
)
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
    "ThreadSingleFlight",
    "ThreadWaiter",
    "Waiter",
    "aresolve_host",
    "backoff",
    "ca_directory_problem",
    "ca_file_problem",
    "call_in_thread",
    "did_you_mean",
    "drop_log_records",
    "expires_at_ms",
    "host_problem",
    "keep_alive_in_child",
    "no_response_error",
    "now_ms",
    "on_fork",
    "private_key_problem",
    "raise_for_signal",
    "remaining_ttl_ms",
    "require_poll",
    "resolve_host",
    "run_in_thread",
    "seconds_left",
    "share_deadline",
    "shell_syntax_problem",
    "submit_to_thread",
    "timeout_at",
    "trust_store_problem",
    "verification_failure",
]
