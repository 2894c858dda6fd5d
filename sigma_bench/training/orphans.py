"""Ending a process when its parent has ended, also if the parent was killed by SIGKILL.

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
