"""Plans: the part of a pretraining recipe, or of a protocol that trains, which the training loop needs."""

from dataclasses import dataclass
from typing import Literal

from sigma_bench.specs.recipe import OptimSpec, Recipe
from sigma_bench.specs.training_protocol import SupervisedOptim


@dataclass(frozen=True)
class Plan:
    """One run of the loop."""

    name: str
    """Name of the run in error messages, such as ``recipe 'mini_dino'``."""
    optim: OptimSpec | SupervisedOptim
    loader: Literal["memory", "stream"]
    max_broken_share: float
    checkpoint_every_steps: int
    keeps_events: bool
    """Whether TensorBoard events are written to the folder of the run."""


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
