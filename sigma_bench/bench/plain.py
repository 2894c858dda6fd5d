"""The plain formulation of a pretraining step: what ours is measured against, and must agree with.

SIGMA and VideoMAE computed the way the released code goes about it (SIGMA sections 3.1-3.3, VideoMAE section 3),
in our own words: every tube is embedded by a strided convolution before the masked ones are dropped, attention
is two batched products round a softmax, pixels of every tube are standardised before the visible ones are dropped,
and Sinkhorn rewrites the whole matrix twice per iteration.  It reads the parameters of our modules and has none of
its own, so in float64 both sides give the same loss and the same gradients.  Nothing but the benchmark uses it.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, V visible and M masked ones (of all clips, where M comes
first), P pixels of a tube, D width, W target width, K prototypes, L tokens, h heads, d width of a head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.models.masked_autoencoder import NORMALISATION_EPS, MaskedAutoencoder
from sigma_bench.models.video_vit import Attention, Block, sinusoid_table
from sigma_bench.sigma.model import SigmaMlpModel, SigmaModel
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec
from sigma_bench.specs.strict import Spec

COMPARABLE = ("sigma_mlp", "videomae")
"""Methods that are written out here."""


class PlainFormulation:
    """Forward pass and loss of a recipe, on the parameters of ``model``; position codes are made once."""

    def __init__(self, model: MaskedAutoencoder, objective: Spec) -> None:
        self.model, self.objective = model, objective
        num_tubes = math.prod(model.encoder.spec.grid())
        self.encoder_position_ND, self.decoder_position_ND = (
            sinusoid_table(num_tubes, width).to(model.mask_token)
            for width in (model.encoder.spec.width, model.mask_token.shape[-1])
        )

    def forward(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and guesses of the masked tubes, each (B, M, W)."""
        model = self.model
        target_BMW = pixel_targets(clip_BCTHW, mask_BN, model.encoder.spec)
        if isinstance(model, SigmaMlpModel):
            for layer in model.projector:
                target_BMW = layer(target_BMW)
        return target_BMW, self.decode(self.encode(clip_BCTHW, mask_BN), mask_BN)

    def encode(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Features of the visible tubes, (B, V, D)."""
        encoder = self.model.encoder
        token_BND = embed_all_tubes(encoder.patch_embed.proj, clip_BCTHW) + self.encoder_position_ND
        token_BVD = token_BND[~mask_BN].reshape(len(clip_BCTHW), -1, token_BND.shape[-1])
        for block in encoder.blocks:
            assert isinstance(block, Block)
            token_BVD = plain_block(block, token_BVD)
        return _layer_norm(encoder.norm, token_BVD)

    def decode(self, visible_BVD: Tensor, mask_BN: Tensor) -> Tensor:
        """Guesses for the masked tubes, (B, M, W)."""
        model, batch = self.model, len(visible_BVD)
        seen_BVD = F.linear(visible_BVD, model.encoder_to_decoder.weight)
        position_BND = self.decoder_position_ND.expand(batch, -1, -1)
        seen_position = position_BND[~mask_BN].reshape(batch, -1, seen_BVD.shape[-1])
        hidden_position = position_BND[mask_BN].reshape(batch, -1, seen_BVD.shape[-1])
        token_BLD = torch.cat([seen_BVD + seen_position, model.mask_token + hidden_position], dim=1)
        for block in model.decoder.blocks:
            assert isinstance(block, Block)
            token_BLD = plain_block(block, token_BLD)
        token_BMD = _layer_norm(model.decoder.norm, token_BLD[:, seen_BVD.shape[1] :])
        return F.linear(token_BMD, model.decoder.head.weight, model.decoder.head.bias)

    def loss(self, target_BMW: Tensor, guess_BMW: Tensor) -> Tensor:
        """Mean squared error, or swapped prediction of the prototypes."""
        if not isinstance(self.objective, ClusterObjective):
            return F.mse_loss(guess_BMW, target_BMW)
        assert isinstance(self.model, SigmaModel)
        weight_KW = self.model.prototypes.weight
        return plain_loss_head(target_BMW.flatten(0, -2), guess_BMW.flatten(0, -2), weight_KW, self.objective)


def embed_all_tubes(convolution: nn.Conv3d, clip_BCTHW: Tensor) -> Tensor:
    """Tokens of all tubes, (B, N, D)."""
    return convolution(clip_BCTHW).flatten(2).transpose(1, 2)


def plain_attention(attention: Attention, token_BLD: Tensor) -> Tensor:
    """Multi-head self-attention with the L x L weights written out."""
    bias = torch.cat([attention.q_bias, torch.zeros_like(attention.v_bias), attention.v_bias])
    qkv = F.linear(token_BLD, attention.qkv.weight, bias)
    query_BhLd, key_BhLd, value_BhLd = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    logit_BhLL = (query_BhLd * query_BhLd.shape[-1] ** -0.5) @ key_BhLd.transpose(-2, -1)
    mixed_BhLd = logit_BhLL.softmax(-1) @ value_BhLd
    return F.linear(mixed_BhLd.transpose(1, 2).flatten(2), attention.proj.weight, attention.proj.bias)


def plain_block(block: Block, token_BLD: Tensor) -> Tensor:
    """Pre-norm transformer block."""
    mixed = plain_attention(block.attn, _layer_norm(block.norm1, token_BLD))
    token_BLD = token_BLD + block.drop_path(mixed if block.gamma_1 is None else block.gamma_1 * mixed)
    mlp = block.mlp
    wide = F.gelu(F.linear(_layer_norm(block.norm2, token_BLD), mlp.fc1.weight, mlp.fc1.bias))
    refined = F.linear(wide, mlp.fc2.weight, mlp.fc2.bias)
    return token_BLD + block.drop_path(refined if block.gamma_2 is None else block.gamma_2 * refined)


@torch.no_grad()
def pixel_targets(clip_BCTHW: Tensor, mask_BN: Tensor, spec: EncoderSpec) -> Tensor:
    """Standardised pixels of the masked tubes, (B, M, P * C), after cutting and standardising all of them."""
    mean, std = (torch.tensor(value).to(clip_BCTHW).view(-1, 1, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    picture = clip_BCTHW * std + mean
    batch, colours, frames, height, width = picture.shape
    t, p = spec.tubelet_frames, spec.patch_size
    cut = picture.reshape(batch, colours, frames // t, t, height // p, p, width // p, p)
    tube_BNPC = cut.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(batch, -1, t * p * p, colours)
    spread = tube_BNPC.var(dim=-2, unbiased=True, keepdim=True).sqrt() + NORMALISATION_EPS
    standard = (tube_BNPC - tube_BNPC.mean(dim=-2, keepdim=True)) / spread
    return standard.flatten(2)[mask_BN].reshape(batch, -1, t * p * p * colours)


def plain_loss_head(target_MW: Tensor, guess_MW: Tensor, weight_KW: Tensor, objective: ClusterObjective) -> Tensor:
    """Scores, codes and both cross-entropies, every M x K matrix written out."""
    with torch.no_grad():
        weight_KW.copy_(F.normalize(weight_KW, dim=1))
    target_score = F.normalize(target_MW, dim=-1) @ weight_KW.T
    guess_score = F.normalize(guess_MW, dim=-1) @ weight_KW.detach().T
    target_code = _label(plain_sinkhorn(target_score, objective.epsilon, objective.sinkhorn_iterations), objective)
    guess_code = _label(plain_sinkhorn(guess_score, objective.epsilon, objective.sinkhorn_iterations), objective)
    from_targets = F.cross_entropy(target_score / objective.temperature, guess_code)
    return from_targets + F.cross_entropy(guess_score / objective.temperature, target_code)


@torch.no_grad()
def plain_sinkhorn(score_MK: Tensor, epsilon: float, num_iterations: int) -> Tensor:
    """Codes (M, K) by rewriting the whole transport plan, prototypes first, then samples (SwAV, listing 1)."""
    plan_KM = (score_MK / epsilon).exp().T
    num_prototypes, num_samples = plan_KM.shape
    plan_KM /= plan_KM.sum()
    for _ in range(num_iterations):
        plan_KM /= plan_KM.sum(dim=1, keepdim=True)
        plan_KM /= num_prototypes
        plan_KM /= plan_KM.sum(dim=0, keepdim=True)
        plan_KM /= num_samples
    plan_KM *= num_samples
    return plan_KM.T


def plain_optimiser(optimiser: torch.optim.AdamW) -> torch.optim.AdamW:
    """AdamW over the same groups, one parameter and one operation at a time."""
    keys = ("params", "weight_decay", "betas", "eps", "lr")
    groups = [{key: group[key] for key in keys} for group in optimiser.param_groups]
    return torch.optim.AdamW(groups, foreach=False, fused=False)


def _label(code_MK: Tensor, objective: ClusterObjective) -> Tensor:
    return code_MK if objective.codes == "soft" else code_MK.argmax(1)


def _layer_norm(norm: nn.LayerNorm, token_BLD: Tensor) -> Tensor:
    return F.layer_norm(token_BLD, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
