"""A lock of a run folder for one writer, which the operating system releases when the process ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_NAME = ".lock"


@contextmanager
def exclusive(folder: Path, *, active: bool = True) -> Iterator[None]:
    """Context that locks a folder for this process.

    Args:
        active: whether to lock the folder; only the main process of a run does.

    Raises:
        ValueError: another process has locked the folder, or it cannot be written.
    """
    if not active:
        yield
        return
    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"{folder}: another process is writing this run; wait for it or stop it") from error
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
    try:
        yield
    finally:
        lock.release()
