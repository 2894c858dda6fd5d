"""The networks of SIGMA and VideoMAE computed in the plain way, with which a step is compared.

``PlainNetworks`` has the parameters of a model and none of its own.  It is an argument of the same ``sigma_step`` or
``videomae_step``, and in float64 it gives the same loss and the same gradients.  As in the released code, every tube is
embedded by a strided convolution before the masked ones are dropped, attention is two batched products around a
softmax, and the pixels of every tube are standardised before the visible ones are dropped.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, V visible and M masked ones, P pixels of a tube, D width,
W target width, L tokens, h heads, d width of a head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.models.masked_autoencoder import NORMALISATION_EPS, MaskedAutoencoder
from sigma_bench.models.video_vit import Attention, Block, sinusoid_table
from sigma_bench.sigma.model import SigmaMlpModel
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD


class PlainNetworks(nn.Module):
    """The interface of ``MaskedAutoencoder`` and ``SigmaMlpModel`` that a step uses."""

    def __init__(self, model: MaskedAutoencoder) -> None:
        super().__init__()
        self.model = model
        if isinstance(model, SigmaMlpModel):
            self.projector, self.prototypes = model.projector, model.prototypes
        num_tubes = math.prod(model.encoder.spec.grid())
        self.encoder_position_ND, self.decoder_position_ND = (
            sinusoid_table(num_tubes, width).to(model.mask_token)
            for width in (model.encoder.spec.width, model.mask_token.shape[-1])
        )

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Targets of SIGMA-MLP, (B, M, W)."""
        return self.projector(self.masked_pixels(clip_BCTHW, mask_BN))

    def encode(self, clip_BCTHW: Tensor, visible_BN: Tensor) -> Tensor:
        """Features of the visible tubes, (B, V, D)."""
        encoder = self.model.encoder
        token_BND = encoder.patch_embed.proj(clip_BCTHW).flatten(2).transpose(1, 2) + self.encoder_position_ND
        token_BVD = token_BND[visible_BN].unflatten(0, (len(clip_BCTHW), -1))
        for block in encoder.blocks:
            token_BVD = _block(block, token_BVD)
        return encoder.norm(token_BVD)

    def decode(self, visible_BVD: Tensor, mask_BN: Tensor) -> Tensor:
        """Predictions for the masked tubes, (B, M, W)."""
        model, batch = self.model, len(visible_BVD)
        seen_BVD = model.encoder_to_decoder(visible_BVD)
        position_BND = self.decoder_position_ND.expand(batch, -1, -1)
        seen_position, hidden_position = (position_BND[b].unflatten(0, (batch, -1)) for b in (~mask_BN, mask_BN))
        token_BLD = torch.cat([seen_BVD + seen_position, model.mask_token + hidden_position], dim=1)
        for block in model.decoder.blocks:
            token_BLD = _block(block, token_BLD)
        return model.decoder.head(model.decoder.norm(token_BLD[:, seen_BVD.shape[1] :]))

    @torch.no_grad()
    def masked_pixels(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Standardised pixels of the masked tubes, (B, M, P * C), after all tubes have been standardised."""
        spec = self.model.encoder.spec
        mean, std = (torch.tensor(value).to(clip_BCTHW).view(-1, 1, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
        t, p = spec.tubelet_frames, spec.patch_size
        split = (clip_BCTHW * std + mean).unflatten(2, (-1, t)).unflatten(4, (-1, p)).unflatten(6, (-1, p))
        tube_BNPC = split.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)
        deviation = tube_BNPC.var(dim=-2, unbiased=True, keepdim=True).sqrt() + NORMALISATION_EPS
        standard = (tube_BNPC - tube_BNPC.mean(dim=-2, keepdim=True)) / deviation
        return standard.flatten(2)[mask_BN].unflatten(0, (len(clip_BCTHW), -1))


def plain_optimiser(optimiser: torch.optim.AdamW) -> torch.optim.AdamW:
    """AdamW over the same groups, one parameter and one operation at a time."""
    keys = ("params", "weight_decay", "betas", "eps", "lr")
    groups = [{key: group[key] for key in keys} for group in optimiser.param_groups]
    return torch.optim.AdamW(groups, foreach=False, fused=False)


def _attention(attention: Attention, token_BLD: Tensor) -> Tensor:
    """Multi-head self-attention with explicit L x L weights."""
    bias = torch.cat([attention.q_bias, torch.zeros_like(attention.v_bias), attention.v_bias])
    qkv = F.linear(token_BLD, attention.qkv.weight, bias)
    query_BhLd, key_BhLd, value_BhLd = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    logit_BhLL = (query_BhLd * query_BhLd.shape[-1] ** -0.5) @ key_BhLd.transpose(-2, -1)
    mixed_BhLd = logit_BhLL.softmax(-1) @ value_BhLd
    return attention.proj(mixed_BhLd.transpose(1, 2).flatten(2))


def _block(block: nn.Module, token_BLD: Tensor) -> Tensor:
    """A pre-norm transformer block."""
    assert isinstance(block, Block)
    mixed = _attention(block.attn, block.norm1(token_BLD))
    token_BLD = token_BLD + block.drop_path(mixed if block.gamma_1 is None else block.gamma_1 * mixed)
    refined = block.mlp(block.norm2(token_BLD))
    return token_BLD + block.drop_path(refined if block.gamma_2 is None else block.gamma_2 * refined)
