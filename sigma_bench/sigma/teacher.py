"""The frozen image model whose patch tokens are SIGMA-DINO's targets (SIGMA section 3.1, "DINO" projection).

Shapes: B clips, C colours, T frames, H W pixels, S = T' time slots, N = T' x H' x W' tubes, D teacher width.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.zoo import CHECKPOINT_NAME, load_encoder
from sigma_bench.sigma.spec import SigmaDinoObjective, SigmaRecipe, TeacherSpec
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec

STANDARD_EPS = 1e-6


class Teacher:
    """A frozen image model that gives one token per tube, from one frame per time slot.

    Raises:
        ValueError: the teacher's width, image size, colours or token map do not fit the recipe.
    """

    def __init__(self, frames: FrameEncoder, spec: TeacherSpec, encoder: EncoderSpec) -> None:
        card = frames.card
        if card.feature_width != spec.width:
            raise ValueError(f"teacher '{spec.model}' has width {card.feature_width}, the recipe says {spec.width}")
        if card.image_size != encoder.image_size:
            raise ValueError(
                f"teacher '{spec.model}' takes images of {card.image_size} px, and those of the recipe have "
                f"{encoder.image_size} px; a model of timm takes them when it is named "
                f"'...@{encoder.num_frames}x{encoder.image_size}'"
            )
        if (card.mean, card.std) != (IMAGENET_MEAN, IMAGENET_STD):
            raise ValueError(
                f"teacher '{spec.model}' needs colours of mean {card.mean} and deviation {card.std}, but pretraining "
                f"normalises by those of ImageNet, {IMAGENET_MEAN} and {IMAGENET_STD}; choose another teacher"
            )
        self._frames, self._spec, self._encoder = frames, spec, encoder
        self.sha256 = digest(frames.card.identity)

    def to(self, device: torch.device | str) -> "Teacher":
        """The same teacher, its weights on ``device``."""
        self._frames.to(device)
        return self

    @torch.no_grad()
    def tokens(self, clip_BCTHW: Tensor) -> Tensor:
        """Tokens of the first frame of every tubelet, (B, N, D), standardised per clip and channel.

        They are computed without autocast, in the precision of the clip and of the teacher's weights (float32 in
        pretraining), as in the release.  In bfloat16, 1.4 % of the target codes would differ.
        """
        with torch.autocast(clip_BCTHW.device.type, enabled=False):
            features = self._frames.encode(clip_BCTHW[:, :, :: self._encoder.tubelet_frames])
            token_BND = self._on_the_video_grid(features.token_BND, features.grid)
            variance, mean = torch.var_mean(token_BND, dim=1, keepdim=True)
            return (token_BND - mean) / (variance.sqrt() + STANDARD_EPS)

    def _on_the_video_grid(self, token_BND: Tensor, grid: tuple[int, int, int]) -> Tensor:
        wanted = self._encoder.grid()
        if grid == wanted:
            return token_BND
        if self._spec.resize == "none" or grid[0] != wanted[0]:
            raise ValueError(
                f"teacher '{self._spec.model}' has {grid[1]} x {grid[2]} patches and the video model "
                f"{wanted[1]} x {wanted[2]}; choose a teacher of the same patch size, or set 'resize: bilinear' in the "
                "recipe"
            )
        batch, _, width = token_BND.shape
        map_SDHW = token_BND.reshape(batch * grid[0], grid[1], grid[2], width).permute(0, 3, 1, 2)
        resized = F.interpolate(map_SDHW, size=wanted[1:], mode="bilinear", align_corners=False)
        return resized.flatten(2).transpose(1, 2).reshape(batch, -1, width)


def open_teacher(
    recipe: SigmaRecipe, objective: SigmaDinoObjective, folder: Path, *, seed: int, name: str | None
) -> Teacher:
    """The teacher of a SIGMA-DINO recipe.

    Args:
        folder: folder of the run; the folder of a teacher ``run:<recipe>`` is next to it.
        seed: seed of the run, and of a teacher ``run:<recipe>``.
        name: name of a model that replaces the teacher of the recipe.

    Raises:
        ValueError: there is no such model or run, it is a video model, or it does not fit the recipe.
    """
    name = name or objective.teacher.model
    kind, _, other = name.partition(":")
    if kind == "run":
        beside = folder.parent / f"{other}-seed{seed}"
        if not (beside / CHECKPOINT_NAME).exists():
            raise ValueError(
                f"recipe '{recipe.recipe}' needs the teacher of recipe '{other}' in {beside}: run 'sigma-bench "
                f"pretrain {other}' with the same --seed first, or name another with --teacher"
            )
        name = str(beside)
    encoder = load_encoder(name)
    if not isinstance(encoder, FrameEncoder):
        raise ValueError(f"teacher '{name}' is a video model; SIGMA-DINO takes an image model")
    return Teacher(encoder, objective.teacher, recipe.encoder)
