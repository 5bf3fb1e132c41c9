"""Building blocks for backends, ciphers and models; their use is optional.

A ``deadline`` is a reading of ``time.monotonic()``, in seconds; the call ends by then.
"""

from fibonacci.plugin._runtime.certificates import (
    ca_directory_problem,
    ca_file_problem,
    private_key_problem,
    trust_store_problem,
    verification_failure,
)
from fibonacci.plugin._runtime.errors import did_you_mean, no_response_error, quotes_text
from fibonacci.plugin._runtime.forks import keep_alive_in_child, on_fork
from fibonacci.plugin._runtime.hosts import aresolve_host, host_problem, resolve_host
from fibonacci.plugin._runtime.idle_pool import IdlePool
from fibonacci.plugin._runtime.log_filters import drop_log_records
from fibonacci.plugin._runtime.platforms import require_poll
from fibonacci.plugin._runtime.sharing import LoopLocal, SharedObjects
from fibonacci.plugin._runtime.shell_syntax import shell_syntax_problem
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.single_flight import SingleFlight, ThreadSingleFlight
from fibonacci.plugin._runtime.threads import (
    NoThreadError,
    call_in_thread,
    run_in_thread,
    submit_to_thread,
)
from fibonacci.plugin._runtime.timing import (
    DeadlineExceeded,
    backoff,
    expires_at_ms,
    now_ms,
    remaining_ttl_ms,
    seconds_left,
    share_deadline,
    timeout_at,
)
from fibonacci.plugin._runtime.waiters import TaskWaiter, ThreadWaiter, Waiter, WaitQueue

__all__ = [
    "DeadlineExceeded",
    "IdlePool",
    "LoopLocal",
    "NoThreadError",
    "SharedObjects",
    "SingleFlight",
    "TaskWaiter",
    "ThreadSingleFlight",
    "ThreadWaiter",
    "WaitQueue",
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
    "quotes_text",
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
