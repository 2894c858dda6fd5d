"""Whole steps of several sides in alternation, each side in a process of its own.

What one side leaves in the heap, and how it asks the C library to treat freed memory, would otherwise slow down or
speed up the other.  Both optimisers run at rate 0, so every round does the same work.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

from sigma_bench.bench.plain import PlainFormulation, plain_optimiser
from sigma_bench.bench.sides import comparable_method, make_batch, our_loss, plain_loss
from sigma_bench.bench.timing import WARM_UP_ROUNDS, Marks
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.training.accumulation import autocast
from sigma_bench.training.memory import keep_freed_memory

Seconds = dict[str, float]
"""By phase."""


class Side(NamedTuple):
    """How a step is computed."""

    is_ours: bool
    dtype: torch.dtype
    keeps_memory: bool
    """Whether freed memory is kept, as the training loop does on a CPU."""


class Setting(NamedTuple):
    """What all sides have in common."""

    recipe: MaskedVideoRecipe
    batch_size: int
    device: torch.device
    num_threads: int


def time_steps(
    sides: Mapping[str, Side], setting: Setting, rounds: int, report: Callable[[int, int], None]
) -> dict[str, list[Seconds]]:
    """Seconds per phase of every round after warm-up, by side; the order of the sides turns with every round.

    Raises:
        ValueError: the process of a side ended before its time.
    """
    times: dict[str, list[Seconds]] = {name: [] for name in sides}
    total = WARM_UP_ROUNDS + rounds
    with ExitStack() as stack:
        steps = {name: stack.enter_context(_process(name, side, setting)) for name, side in sides.items()}
        for index in range(total):
            report(index, total)
            for name in list(steps) if index % 2 else reversed(steps):
                seconds = steps[name]()
                if index >= WARM_UP_ROUNDS:
                    times[name].append(seconds)
    report(total, total)
    return times


@contextmanager
def _process(name: str, side: Side, setting: Setting) -> Iterator[Callable[[], Seconds]]:
    # Forked from a server that has imported everything and computed nothing: at once there, and with no thread lost.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, side, setting), daemon=True)
    process.start()
    theirs.close()

    def step() -> Seconds:
        try:
            ours.send(True)
            return ours.recv()
        except (EOFError, ConnectionError):
            process.join()
            raise ValueError(
                f"the process of side '{name}' ended with exit code {process.exitcode}, perhaps out of memory; "
                "choose a smaller --batch"
            ) from None

    try:
        yield step
    finally:
        ours.close()
        process.join()


def _serve(connection: Connection, side: Side, setting: Setting) -> None:
    """Take a step whenever asked, until the other end is closed."""
    torch.set_num_threads(setting.num_threads)
    if side.keeps_memory:
        keep_freed_memory()
    recipe, device = setting.recipe, setting.device
    method = comparable_method(recipe).to(device)
    batch = make_batch(recipe, setting.batch_size, device)
    formulation = PlainFormulation(method.model, recipe.objective)
    optimiser = method.build_optimiser()
    if not side.is_ours:
        optimiser = plain_optimiser(optimiser)
    while _is_asked(connection):
        method.zero_grad(set_to_none=True)
        marks = Marks(device)
        with autocast(device, side.dtype == torch.bfloat16):
            loss = our_loss(method, batch, marks) if side.is_ours else plain_loss(formulation, batch, marks)
        marks("loss")
        loss.backward()
        marks("backward")
        optimiser.step()
        marks("optimiser")
        connection.send(marks.seconds())


def _is_asked(connection: Connection) -> bool:
    try:
        return bool(connection.recv())
    except EOFError:
        return False
