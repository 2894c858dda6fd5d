"""A pretraining recipe: one YAML file in ``pretrain/`` is one run (SIGMA section 4, appendix; VideoMAE table 9).

Every knob is written out in the file; nothing here has a default that could move a loss.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.strict import Spec

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FAMILY_NAMES = {"videomae": "VideoMAE", "sigma_mlp": "SIGMA-MLP"}
"""Objective kinds by the names of the paper's tables."""


class EncoderSpec(Spec):
    """Geometry of a video ViT; everything that fixes its parameter shapes and its token grid."""

    num_frames: Count
    image_size: Count
    patch_size: Count
    tubelet_frames: Count
    width: Count
    depth: Count
    num_heads: Count
    drop_path: NonNegative
    layer_scale: NonNegative
    """Initial value of the residual branches' scales; 0 means none."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        self.grid()
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")
        return self

    def grid(self, num_frames: int | None = None, image_size: int | None = None) -> tuple[int, int, int]:
        """Token grid (T', H', W') of a clip; raises ValueError when frames or size do not divide."""
        frames, size = num_frames or self.num_frames, image_size or self.image_size
        if frames % self.tubelet_frames or size % self.patch_size:
            raise ValueError(
                f"a clip of {frames} frames at {size} px cannot be cut into tubes of "
                f"{self.tubelet_frames} frames x {self.patch_size} px; use multiples of both"
            )
        return frames // self.tubelet_frames, size // self.patch_size, size // self.patch_size


class DecoderSpec(Spec):
    """The light transformer that guesses the masked tubes."""

    width: Count
    depth: Count
    num_heads: Count


class MaskSpec(Spec):
    """Which tubes are hidden; ``tube`` hides the same places in every time slot."""

    kind: Literal["tube"]
    ratio: Fraction


class VideoMaeObjective(Spec):
    """Mean squared error against the normalised pixels of the masked tubes (VideoMAE)."""

    kind: Literal["videomae"]


class SigmaMlpObjective(Spec):
    """Swapped prediction of Sinkhorn-balanced assignments, targets from a learned MLP (SIGMA-MLP)."""

    kind: Literal["sigma_mlp"]
    num_prototypes: Count
    epsilon: Positive
    sinkhorn_iterations: Count
    temperature: Positive
    codes: Literal["hard", "soft"]
    projector_widths: tuple[Count, ...]


class DataSpec(Spec):
    """Where the unlabelled clips come from and how they are cut."""

    datasets: tuple[str, ...]
    """Dataset cards whose train split is used."""
    stride_frames: Count
    crop: Literal["centre"]
    """``centre``: short side to the encoder's size, centre crop."""


class OptimSpec(Spec):
    """AdamW with linear warm-up from 0 and a cosine per step; rates are per 256 clips of global batch."""

    global_batch: Count
    epochs: Count
    warmup_epochs: NonNegative
    lr_per_256: Positive
    final_lr_per_256: NonNegative
    projector_lr_scale: Positive
    """Factor on the rate of projector and prototypes; 1 in the paper."""
    betas: tuple[Fraction, Fraction]
    weight_decay: NonNegative
    precision: Literal["float32", "bfloat16"]


class Recipe(Spec):
    """One pretraining run."""

    recipe: str
    summary: str
    encoder: EncoderSpec
    decoder: DecoderSpec
    mask: MaskSpec
    objective: Annotated[VideoMaeObjective | SigmaMlpObjective, Field(discriminator="kind")]
    data: DataSpec
    optim: OptimSpec
    checkpoint_every_steps: Count
