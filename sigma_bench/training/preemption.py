"""Signals that stop a run after the current step: SIGTERM, which schedulers send, and Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sigma_bench.training.orphans import end_with_parent

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
