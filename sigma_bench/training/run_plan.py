"""The settings of one run of the training loop: its plan, which can change a weight, and its options, which cannot.

Options change rounding only.
"""

from dataclasses import dataclass, field
from typing import Literal

from sigma_bench.data.examples import FrameCache
from sigma_bench.data.workers import NumWorkers
from sigma_bench.specs.recipe import OptimSpec, Recipe
from sigma_bench.specs.training_protocol import SupervisedOptim


@dataclass(frozen=True)
class Plan:
    """The part of a pretraining recipe, or of a protocol that trains, which the loop needs."""

    name: str
    """Name of the run in error messages, such as ``recipe 'mini_dino'``."""
    optim: OptimSpec | SupervisedOptim
    loader: Literal["memory", "stream"]
    max_broken_share: float
    checkpoint_every_steps: int
    keeps_events: bool
    """Whether TensorBoard events are written to the folder of the run."""


@dataclass(frozen=True)
class RunOptions:
    """Options that change rounding, memory and speed of a run, but not the method."""

    num_micro_batches: int = 1
    """Number of micro-batches in which each process computes its part of the batch (gradient accumulation)."""
    num_workers: NumWorkers = 0
    """Number of processes that decode and draw examples; 0 means that the loop does.  ``auto`` is 0 for videos that are
    kept in memory."""
    activation_checkpointing: bool = False
    """Whether only the inputs of blocks are kept for the backward pass and the rest is computed again."""
    decoded: FrameCache = field(default_factory=lambda: FrameCache(0))
    """Decoded videos in memory, which several runs of one process share."""


def plan_of(recipe: Recipe) -> Plan:
    """The plan of a pretraining run."""
    return Plan(
        name=f"recipe '{recipe.recipe}'",
        optim=recipe.optim,
        loader=recipe.data.loader,
        max_broken_share=recipe.data.max_broken_share,
        checkpoint_every_steps=recipe.checkpoint_every_steps,
        keeps_events=True,
    )
