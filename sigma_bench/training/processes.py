"""Work on the main process, on all processes, or divided among the processes of a run.

An exception of one process is raised by all of them, so that no process waits for one that has stopped.
"""

import pickle
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from sigma_bench.failures import failure_sentence
from sigma_bench.training.distribution import LostPeerError, OneSidedError, Processes
from sigma_bench.training.threads import on_threads

Item = TypeVar("Item")
Result = TypeVar("Result")
_KNOWN_TO_ALL = "known_to_all_processes"


class ProcessError(Exception):
    """An unexpected exception of another process, as one sentence with its original traceback."""

    is_sentence = True

    def __init__(self, sentence: str, whole_traceback: str) -> None:
        super().__init__(sentence, whole_traceback)
        self.whole_traceback = whole_traceback

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class _Failure:
    """The exception of one process as it is sent to the others."""

    error: Exception


def on_main(processes: Processes, work: Callable[[], Result]) -> Result:
    """The result of ``work``, or its exception, from the main process on every process.

    This serves results that can differ between processes, such as how much of a cache is filled.
    """
    return _exchanged(processes, _attempt(processes, work) if processes.is_main else None)[0]


def on_all(processes: Processes, work: Callable[[], Result]) -> list[Result]:
    """The results of ``work`` of all processes, in the order of ranks; an exception of one is raised by all."""
    return _exchanged(processes, _attempt(processes, work))


def shared(
    processes: Processes,
    items: Sequence[Item],
    work: Callable[[Item], Result],
    report: Callable[[int, int], None],
    *,
    use_threads: bool = False,
) -> list[Result]:
    """The results of ``work`` for all items, in order, on every process; the processes share the items.

    Args:
        report: is called with the number of finished items, estimated by this process, and the number of all.
        use_threads: whether every process computes several of its items at a time, as ``on_threads`` does.

    Raises:
        Exception: the first exception of any process; all processes raise it.
    """

    def my_share() -> list[Result]:
        my_items, mine = items[processes.rank :: processes.size], list[Result]()
        with closing(on_threads(work, my_items) if use_threads else (work(item) for item in my_items)) as results:
            for result in results:
                mine.append(result)
                report(min(len(mine) * processes.size, len(items)), len(items))
        return mine

    parts = on_all(processes, my_share)
    return [parts[number % processes.size][number // processes.size] for number in range(len(items))]


def _attempt(processes: Processes, work: Callable[[], Result]) -> Result | _Failure:
    """The result, or an exception that is sent to the others; an exception that all processes have is raised."""
    try:
        return work()
    except (LostPeerError, OneSidedError):  # the other processes have ended or cannot be reached
        raise
    except Exception as error:
        if processes.size == 1 or hasattr(error, _KNOWN_TO_ALL):
            raise
        return _Failure(_passable(error, processes.rank))


def _exchanged(processes: Processes, mine: Any) -> list[Any]:
    """The values of all processes, in the order of ranks; if some are failures, all processes raise the first one.

    A process that failed in the middle of its work sends its failure to the next exchange of the others.
    """
    found = processes.gathered(mine)
    for one in found:
        if isinstance(one, _Failure):
            setattr(one.error, _KNOWN_TO_ALL, True)
            raise one.error
    return found


def _passable(error: Exception, rank: int) -> Exception:
    """The error in a form that can be sent: a ValueError if it can be pickled, any other error as its description."""
    if isinstance(error, ValueError):
        try:
            copy = pickle.loads(pickle.dumps(error))  # safe: these bytes were written here
        except Exception:
            return ValueError(str(error))
        return copy if str(copy) == str(error) else ValueError(str(error))
    whole = f"process {rank}\n" + "".join(traceback.format_exception(error))
    return ProcessError(failure_sentence(error), whole)
