"""The keys of a recipe of the method; this module is imported without torch."""

from typing import ClassVar, Literal

from sigma_bench.extend import MaskedVideoRecipe, Objective, Positive


class MeanColourObjective(Objective):
    """Smooth L1 distance between predicted and actual mean colours of the masked tubes."""

    kind: Literal["mean_colour"]
    beta: Positive
    """Error at which the loss turns from squared to absolute, in standard deviations of ImageNet's colours."""
    family: ClassVar[str] = "mean colour"


class MeanColourRecipe(MaskedVideoRecipe):
    """One pretraining run of the method."""

    objective: MeanColourObjective


RECIPE = MeanColourRecipe
