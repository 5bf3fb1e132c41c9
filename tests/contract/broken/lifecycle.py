"""Stores that fail in other threads, in other processes, or later."""

import mmap
import os
import threading
import time

from minimal import MinimalStore

from broken.entry import broken


@broken("test_concurrent_listings", "test_concurrent_reads", "test_threads")
class MixesThreads(MinimalStore):
    """Calls share one buffer, and so get each other's results."""

    address = None

    def read(self, address, *, deadline):
        self.address = address
        time.sleep(0.0001)
        return super().read(self.address, deadline=deadline)


@broken("test_concurrent_changes_of_different_records")
class OneThreadOnly(MinimalStore):
    """Only the thread that created the store may use it."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def read(self, address, *, deadline):
        if threading.get_ident() != self.thread:
            raise RuntimeError("created in another thread")
        return super().read(address, deadline=deadline)


@broken("test_child_and_parent", "test_fork_during_writes", "test_child_and_parent_change_a_record")
class DiesAfterFork(MinimalStore):
    """Reads in a forked child fail with ConnectionResetError."""

    def __init__(self):
        super().__init__()
        self.process = os.getpid()

    def read(self, address, *, deadline):
        if os.getpid() != self.process:
            raise ConnectionResetError
        return super().read(address, deadline=deadline)


@broken("test_child_reads_during_writes")
class SharesABuffer(MinimalStore):
    """Each read goes through memory that a child shares with its parent."""

    def __init__(self):
        super().__init__()
        self.buffer = mmap.mmap(-1, 2**16)

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        if data is None:
            return None
        self.buffer[: len(data)] = data
        time.sleep(0.0002)
        return self.buffer[: len(data)]


@broken("test_interrupted_calls")
class ReturnsTheLastResult(MinimalStore):
    """An interrupted call leaves its result for the next one."""

    def __init__(self):
        super().__init__()
        self.left = threading.local()

    def read(self, address, *, deadline):
        if getattr(self.left, "result", None):
            result, self.left.result = self.left.result, None
            return result
        self.left.result = super().read(address, deadline=deadline)
        time.sleep(0.0005)  # the network
        result, self.left.result = self.left.result, None
        return result


@broken("test_records_outlive_workflows", "test_repeated_opening")
class ForgetsWhenClosed(MinimalStore):
    """Closing deletes the records."""

    def close(self):
        self.records.clear()
