"""Controls, permanent rows of every table: what a score is worth when nothing was learned.

``random``: the same network with its initial weights.  ``image statistics``: mean colours, no network at all.

Shapes: B clips, C colours, T frames, N = T x R x R cells, R cells a side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.encoder import Encoder, Features, VideoViTEncoder, vit_card
from sigma_bench.models.frame_encoder import random_frame_encoder, weights_sha256
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import EncoderSpec, ImageEncoderSpec

CELLS_PER_SIDE = 3
"""Coarse on purpose: colours, not structure."""


class ImageStatistics:
    """Mean colour per frame and cell.

    A cell's token is its own colour followed by the colours of the whole clip, so that the mean over tokens
    (what most protocols pool by) still knows every cell of every frame.
    """

    def __init__(self, spec: EncoderSpec | ImageEncoderSpec) -> None:
        width = 3 + 3 * spec.num_frames * CELLS_PER_SIDE**2
        self.card = EncoderCard(
            model="image_statistics",
            family="image statistics",
            num_frames=spec.num_frames,
            image_size=spec.image_size,
            tubelet_frames=1,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            feature_width=width,
            num_parameters=0,
            pretraining_data=(),
            pretraining_epochs=0,
            checkpoint_sha256=digest(["image_statistics", 1, CELLS_PER_SIDE, spec.num_frames, spec.image_size]),
            pretraining_seed=None,
            recipe_fingerprint=None,
        )

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        frames = clip_BCTHW.shape[2]
        cell_BCTRR = F.adaptive_avg_pool3d(clip_BCTHW, (frames, CELLS_PER_SIDE, CELLS_PER_SIDE))
        own_BNC = cell_BCTRR.flatten(2).transpose(1, 2)
        whole = own_BNC.flatten(1)[:, None].expand(-1, own_BNC.shape[1], -1)
        token_BND = torch.cat([own_BNC, whole], dim=2)
        # A shorter clip has fewer colours; its tokens are as wide as the card says all the same.
        token_BND = F.pad(token_BND, (0, self.card.feature_width - token_BND.shape[2]))
        return Features(token_BND, (frames, CELLS_PER_SIDE, CELLS_PER_SIDE))


def random_encoder(spec: EncoderSpec | ImageEncoderSpec, seed: int) -> Encoder:
    """The initial weights of a recipe's encoder for a seed, untrained."""
    if isinstance(spec, ImageEncoderSpec):
        return random_frame_encoder(spec, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vit = VideoViT(spec)
    card = vit_card(
        vit,
        model="random_init",
        family="random init",
        checkpoint_sha256=weights_sha256(vit),
        recipe=None,
        epochs=0,
        seed=seed,
    )
    return VideoViTEncoder(vit, card)
