"""Work that the processes of a run divide among themselves."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sigma_bench.training.distribution import World

Item = TypeVar("Item")
Result = TypeVar("Result")


def by_main(world: World, work: Callable[[], Result]) -> Result:
    """What ``work`` gives on the main process, on every process; so is its ValueError.

    For what processes must agree on and would not find alike, such as how much of a cache is filled by now.
    """
    result: Result | ValueError | None = None
    if world.is_main:
        try:
            result = work()
        except ValueError as error:
            result = error
    found = world.gathered(result)[0]
    if isinstance(found, ValueError):
        raise found
    return found


def by_all(world: World, work: Callable[[], None]) -> None:
    """Every process does its own part, and all go on together; a ValueError of any is raised by all of them."""
    problem: ValueError | None = None
    try:
        work()
    except ValueError as error:
        problem = error
    for met in world.gathered(problem):
        if met is not None:
            raise met


def shared(
    world: World, items: Sequence[Item], work: Callable[[Item], Result], report: Callable[[int, int], None]
) -> list[Result]:
    """What ``work`` makes of every item, in order and on every process; each process does its share.

    Args:
        report: told the number of items done, of all, as estimated by this process.

    Raises:
        ValueError: the first one that any process met, on all of them: nobody is left waiting for the others.
    """
    mine: list[Result] = []
    problem: ValueError | None = None
    try:
        for item in items[world.rank :: world.size]:
            mine.append(work(item))
            report(min(len(mine) * world.size, len(items)), len(items))
    except ValueError as error:
        problem = error
    parts = world.gathered((mine, problem))
    for _, met in parts:
        if met is not None:
            raise met
    return [parts[number % world.size][0][number // world.size] for number in range(len(items))]
