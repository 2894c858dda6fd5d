"""A pretraining recipe: one YAML file in ``pretrain/`` is one run (SIGMA section 4, appendix; VideoMAE table 9).

Every knob is written out in the file; nothing here has a default that could move a loss.  How a run is spread
over processes, pieces and workers is no part of it: those are options of the command, and cannot change the method.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.strict import PlainName, Spec, parse_spec

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
Frames = Annotated[int, Field(gt=0, le=4096)]
Pixels = Annotated[int, Field(gt=0, le=8192)]
Width = Annotated[int, Field(gt=0, le=65_536)]
Depth = Annotated[int, Field(gt=0, le=1024)]
NumClusters = Annotated[int, Field(gt=0, le=1_000_000)]
"""Larger than in any current model, and small enough that a damaged file cannot claim all memory."""
MOST_SEED = 2**32 - 1
MOST_POSITION_VALUES = 2**28
"""Most values of the position code, tokens x width."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FAMILY_NAMES = {"videomae": "VideoMAE", "sigma_mlp": "SIGMA-MLP", "sigma_dino": "SIGMA-DINO", "dino": "DINO"}
"""Objective kinds by the names of the paper's tables."""


class EncoderSpec(Spec):
    """Geometry of a video ViT; everything that fixes its parameter shapes and its token grid."""

    num_frames: Frames
    image_size: Pixels
    patch_size: Pixels
    tubelet_frames: Frames
    width: Width
    depth: Depth
    num_heads: Width
    drop_path: Annotated[float, Field(ge=0, lt=1)]
    layer_scale: NonNegative
    """Initial value of the residual branches' scales; 0 means none."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        _require_room_for_positions(math.prod(self.grid()), self.width)
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

    width: Width
    depth: Depth
    num_heads: Width

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")
        return self


class TubeMask(Spec):
    """The same random places hidden in every time slot (VideoMAE)."""

    kind: Literal["tube"]
    ratio: Fraction


class RandomMask(Spec):
    """Random tubes hidden, each time slot drawn on its own, equally many in each (VideoMAE's ablation)."""

    kind: Literal["random"]
    ratio: Fraction


class MotionMask(Spec):
    """Hidden places follow what moves, measured by frame differences (after MGM and MGMAE)."""

    kind: Literal["motion"]
    ratio: Fraction
    strength: NonNegative
    """Weight of one standard deviation of motion against the random part; 0 is tube masking."""


MaskSpec = TubeMask | RandomMask | MotionMask


class VideoMaeObjective(Spec):
    """Mean squared error against the normalised pixels of the masked tubes (VideoMAE)."""

    kind: Literal["videomae"]


class ClusterObjective(Spec):
    """Swapped prediction of Sinkhorn-balanced assignments (SIGMA equations 3-6)."""

    num_prototypes: NumClusters
    epsilon: Positive
    sinkhorn_iterations: Count
    temperature: Positive
    codes: Literal["hard", "soft"]


class SigmaMlpObjective(ClusterObjective):
    """Targets from a jointly learned MLP on the masked pixels (SIGMA-MLP)."""

    kind: Literal["sigma_mlp"]
    projector_widths: Annotated[tuple[Width, ...], Field(max_length=16)]


class TeacherSpec(Spec):
    """The frozen image model whose patch tokens are the targets of SIGMA-DINO."""

    model: str
    """``timm:<name>`` for a published model; ``run:<recipe>`` for a run of that recipe with the same seed."""
    width: Width
    resize: Literal["none", "bilinear"]
    """What happens where the teacher's token map is not the video's: an error, or a bilinear resize (DINOv2)."""


class SigmaDinoObjective(ClusterObjective):
    """Targets from a frozen image model, one frame per time slot, standardised per clip and channel (SIGMA-DINO)."""

    kind: Literal["sigma_dino"]
    teacher: TeacherSpec


SigmaObjective = SigmaMlpObjective | SigmaDinoObjective


class SourceSpec(Spec):
    """Where unlabelled videos come from."""

    datasets: tuple[str, ...]
    """Dataset cards whose train split is used."""
    loader: Literal["memory", "stream"]
    """``memory``: videos decoded once and held; ``stream``: decoded by workers whenever a clip is drawn."""
    max_broken_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """A run goes on without videos that are missing or do not decode, up to this share of those listed."""


class DataSpec(SourceSpec):
    """How clips are cut."""

    stride_frames: Count
    crop: Literal["centre", "multi_scale"]
    """``centre``: short side to the encoder's size, centre crop; ``multi_scale``: as released, see data/crops.py."""


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


class MaskedVideoRecipe(Spec):
    """One pretraining run of SIGMA or VideoMAE."""

    recipe: PlainName
    summary: str
    encoder: EncoderSpec
    decoder: DecoderSpec
    mask: Annotated[MaskSpec, Field(discriminator="kind")]
    objective: Annotated[VideoMaeObjective | SigmaMlpObjective | SigmaDinoObjective, Field(discriminator="kind")]
    data: DataSpec
    optim: OptimSpec
    checkpoint_every_steps: Count


class ImageEncoderSpec(Spec):
    """Geometry of an image ViT that reads a clip frame by frame."""

    num_frames: Frames
    """Frames of a clip in evaluation; pretraining sees single frames."""
    image_size: Pixels
    patch_size: Pixels
    width: Width
    depth: Depth
    num_heads: Width

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(f"a {self.image_size} px image cannot be cut into patches of {self.patch_size} px")
        _require_room_for_positions((self.image_size // self.patch_size) ** 2, self.width)
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")
        return self


class DinoObjective(Spec):
    """Self-distillation with no labels over several crops of a frame (DINO, arXiv 2104.14294)."""

    kind: Literal["dino"]
    head_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)]
    """Widths of the projection head; the last one is the bottleneck."""
    num_outputs: NumClusters
    student_temperature: Positive
    teacher_temperature: Positive
    teacher_momentum: Fraction
    """At the first step; a cosine takes it to 1 at the last."""
    centre_momentum: Fraction


class MultiCropSpec(SourceSpec):
    """Two large crops for student and teacher, small ones for the student alone (SwAV, DINO)."""

    global_area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]]
    local_area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]]
    num_local: Frames
    local_size: Pixels
    jitter: NonNegative
    """Strength of the colour jitter (brightness, contrast, saturation); hue gets a quarter of it."""


class DinoRecipe(Spec):
    """One pretraining run of DINO on single frames."""

    recipe: PlainName
    summary: str
    encoder: ImageEncoderSpec
    objective: DinoObjective
    data: MultiCropSpec
    optim: OptimSpec
    checkpoint_every_steps: Count


Recipe = MaskedVideoRecipe | DinoRecipe


def _require_room_for_positions(num_tokens: int, width: int) -> None:
    """ValueError for a geometry whose position code alone would not fit into memory."""
    if num_tokens * width > MOST_POSITION_VALUES:
        raise ValueError(f"clips of {num_tokens} tokens that are {width} wide are larger than any model takes")


def parse_recipe(content: object, *, where: str) -> Recipe:
    """Validate a mapping as the kind of recipe its objective asks for; ``where`` opens the error sentence."""
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected a mapping of keys to values")
    objective = content.get("objective")
    is_dino = isinstance(objective, dict) and objective.get("kind") == "dino"
    if is_dino:
        return parse_spec(DinoRecipe, content, where=where)
    return parse_spec(MaskedVideoRecipe, content, where=where)
