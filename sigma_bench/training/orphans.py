"""Processes that end when the process that started them has ended, even by SIGKILL, which no handler sees.

The parent's process id is polled.  Linux could send a signal instead (``PR_SET_PDEATHSIG``), but it does so when the
*thread* that started a process ends, and a launcher may have started it from a thread that is short-lived.
"""

import contextlib
import multiprocessing
import os
import select
import threading
import time

POLLED_EVERY_SECONDS = 0.5
_LAUNCHED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
_watched_in: set[int] = set()
"""Ids of processes that have a watching thread: the set is copied to a forked process, the thread is not."""


def end_with_launcher() -> None:
    """In a process that torchrun started: end soon after torchrun's agent has ended.

    Other launchers may start processes and leave, so under those the parent is not watched.
    """
    if _LAUNCHED_BY_TORCHRUN in os.environ:
        end_with_parent()


def end_with_parent(worker: int = 0) -> None:
    """End this process soon after its parent has ended; a second call changes nothing.

    It ends at once and saves nothing, as if it had been killed itself: whatever is written here is written atomically,
    and a run continues from its last checkpoint.  Nothing else would free the run's lock, which processes that were
    forked while it was held keep held.

    Args:
        worker: ignored; a data loader calls this as the ``worker_init_fn`` of its workers.
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
        if not is_worker and select.select([], [2], [], 0)[1]:  # a full pipe that nothing reads would block for ever
            os.write(2, message.encode())
    os._exit(1)
