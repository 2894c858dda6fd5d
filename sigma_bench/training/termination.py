"""How the processes of a run end: after the current step at a signal to stop, and with their parent process.

Schedulers send SIGTERM, and Ctrl-C sends SIGINT.  A parent may also be killed by SIGKILL, so its process id is polled.
Linux could send a signal instead (``PR_SET_PDEATHSIG``), but it does so when the *thread* that started a process ends,
and a launcher may have started it from a thread that is short-lived.
"""

import contextlib
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Preempted(BaseException):
    """The run received a signal to stop and has saved its state.

    Like ``KeyboardInterrupt`` it is not an ``Exception``, so that code that handles errors does not catch it.
    """

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped after step {step}; the state is saved and the same command continues")
        self.exit_code = 128 + signal_number


class StopFlag:
    """The signal to stop that was received, if any."""

    def __init__(self) -> None:
        self.received: int | None = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt  # the second Ctrl-C does not wait for the step
        self.received = number


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    """Context in which signals to stop set the flag; in other threads than the main one, it is never set."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = [signal.signal(number, flag._receive) for number in STOPPING]
    try:
        yield flag
    finally:
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)


def leave_stopping_to_the_loop(worker: int) -> None:
    """Ignore the signals that schedulers and Ctrl-C send to all processes of a run; data loader workers call this.

    If a worker ended then, the current step and the state would be lost.  It ends with its data loader instead.
    """
    end_with_parent()
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


POLLED_EVERY_SECONDS = 0.5
_LAUNCHED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
_watched_in: set[int] = set()
"""Ids of processes with a watching thread; a fork copies this set but not the thread."""


def end_with_launcher() -> None:
    """End this process soon after torchrun's agent has ended, if torchrun started it.

    Other launchers may start processes and exit, so the parent is watched under torchrun only.
    """
    if _LAUNCHED_BY_TORCHRUN in os.environ:
        end_with_parent()


def end_with_parent(worker: int = 0) -> None:
    """End this process soon after its parent has ended; a second call changes nothing.

    It ends at once and saves nothing, as if it had been killed.  All files are written atomically, and a run continues
    from its last checkpoint.  Forked processes inherit the lock of a run, so the lock is free only when they have
    ended.

    Args:
        worker: ignored; it exists because data loaders call this as ``worker_init_fn``.
    """
    if os.getpid() in _watched_in:
        return
    _watched_in.add(os.getpid())
    threading.Thread(target=_watch, args=(os.getppid(),), name="end with parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLLED_EVERY_SECONDS)
    message = f"process {os.getpid()} ends because its launcher has ended; the same command continues\n"
    with contextlib.suppress(OSError, ValueError):
        is_worker = multiprocessing.parent_process() is not None
        if not is_worker and select.select([], [2], [], 0)[1]:  # writing to a full pipe could block for ever
            os.write(2, message.encode())
    os._exit(1)
