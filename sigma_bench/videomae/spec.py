"""Recipes of VideoMAE (arXiv 2203.12602)."""

from typing import ClassVar, Literal

from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import Objective


class VideoMaeObjective(Objective):
    """Mean squared error against the normalised pixels of the masked tubes (VideoMAE)."""

    kind: Literal["videomae"]
    family: ClassVar[str] = "VideoMAE"


class VideoMaeRecipe(MaskedVideoRecipe):
    """One pretraining run of VideoMAE."""

    objective: VideoMaeObjective


RECIPE = VideoMaeRecipe
