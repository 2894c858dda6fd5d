"""Recipes of SIGMA-MLP and SIGMA-DINO (arXiv 2407.15447)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import Count, NumClusters, Objective, Positive, Width
from sigma_bench.specs.strict import Spec

MIN_EPSILON = 0.005
"""Cosine similarities divided by it have exponentials that float64 can hold."""


class ClusterObjective(Spec):
    """Swapped prediction of Sinkhorn-balanced assignments (SIGMA equations 3-6)."""

    num_prototypes: NumClusters
    epsilon: Annotated[float, Field(ge=MIN_EPSILON)]
    sinkhorn_iterations: Count
    temperature: Positive
    codes: Literal["hard", "soft"]


class SigmaMlpObjective(Objective, ClusterObjective):
    """Targets from a jointly learned MLP on the masked pixels (SIGMA-MLP)."""

    kind: Literal["sigma_mlp"]
    projector_widths: Annotated[tuple[Width, ...], Field(max_length=16)]
    family: ClassVar[str] = "SIGMA-MLP"


class TeacherSpec(Spec):
    """The frozen image model whose patch tokens are the targets of SIGMA-DINO."""

    model: str
    """``timm:<name>``: a published model; ``run:<recipe>``: the run of that recipe with the same seed."""
    width: Width
    resize: Literal["none", "bilinear"]
    """What happens if the token grid of the teacher differs from that of the video: an error, or a bilinear resize."""


class SigmaDinoObjective(Objective, ClusterObjective):
    """Targets from a frozen image model, one frame per time slot, standardised per clip and channel (SIGMA-DINO)."""

    kind: Literal["sigma_dino"]
    teacher: TeacherSpec
    family: ClassVar[str] = "SIGMA-DINO"


SigmaObjective = SigmaMlpObjective | SigmaDinoObjective


class SigmaRecipe(MaskedVideoRecipe):
    """One pretraining run of SIGMA."""

    objective: Annotated[SigmaObjective, Field(discriminator="kind")]

    pretraining_only: ClassVar[tuple[str, ...]] = (*MaskedVideoRecipe.pretraining_only, "projector.", "prototypes.")
    has_prototypes: ClassVar[bool] = True


RECIPE = SigmaRecipe
