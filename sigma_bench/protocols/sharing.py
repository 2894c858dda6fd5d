"""Work that the processes of a run divide among themselves.

An exception of one process, of whatever kind, is raised by all of them: no process waits for one that has given up.
"""

import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sigma_bench.failures import failure_sentence
from sigma_bench.training.distribution import LostPeerError, OneSidedError, World

Item = TypeVar("Item")
Result = TypeVar("Result")
_KNOWN_TO_ALL = "known_to_all_processes"


class ProcessError(Exception):
    """An unexpected exception of one process of several, in one sentence and with the traceback it had there."""

    is_sentence = True

    def __init__(self, sentence: str, whole_traceback: str) -> None:
        super().__init__(sentence, whole_traceback)
        self.whole_traceback = whole_traceback

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class _Failure:
    """The exception of one process on its way to the others."""

    error: Exception


def by_main(world: World, work: Callable[[], Result]) -> Result:
    """What ``work`` gives on the main process, on every process; so is its exception.

    For what processes must agree on and would not find alike, such as how much of a cache is filled by now.
    """
    return _exchanged(world, _attempt(world, work) if world.is_main else None)[0]


def by_all(world: World, work: Callable[[], Result]) -> list[Result]:
    """Every process does its own part, and all go on together: what each has found; an exception is raised by all."""
    return _exchanged(world, _attempt(world, work))


def shared(
    world: World, items: Sequence[Item], work: Callable[[Item], Result], report: Callable[[int, int], None]
) -> list[Result]:
    """What ``work`` makes of every item, in order and on every process; each process does its share.

    Args:
        report: told the number of items done, of all, as estimated by this process.

    Raises:
        Exception: the first one that any process met, on all of them.
    """

    def my_share() -> list[Result]:
        mine: list[Result] = []
        for item in items[world.rank :: world.size]:
            mine.append(work(item))
            report(min(len(mine) * world.size, len(items)), len(items))
        return mine

    parts = by_all(world, my_share)
    return [parts[number % world.size][number // world.size] for number in range(len(items))]


def _attempt(world: World, work: Callable[[], Result]) -> Result | _Failure:
    """The result, or the exception for the others; exceptions that all processes know already come through."""
    try:
        return work()
    except (LostPeerError, OneSidedError):  # there are no processes any more that could agree
        raise
    except Exception as error:
        if world.size == 1 or hasattr(error, _KNOWN_TO_ALL):
            raise
        return _Failure(_passable(error, world.rank))


def _exchanged(world: World, mine: Any) -> list[Any]:
    """What every process holds; the first failure among it is raised, by all processes alike.

    A process that gave up in the middle of something sends its failure to whatever exchange the others do next.
    """
    found = world.gathered(mine)
    for one in found:
        if isinstance(one, _Failure):
            setattr(one.error, _KNOWN_TO_ALL, True)
            raise one.error
    return found


def _passable(error: Exception, rank: int) -> Exception:
    """The error itself if it is a mistake of the user and survives pickling, otherwise what can be said of it."""
    if isinstance(error, ValueError):
        try:
            copy = pickle.loads(pickle.dumps(error))  # what we have just written ourselves
        except Exception:
            return ValueError(str(error))
        return copy if str(copy) == str(error) else ValueError(str(error))
    whole = f"process {rank}\n" + "".join(traceback.format_exception(error))
    return ProcessError(failure_sentence(error), whole)
