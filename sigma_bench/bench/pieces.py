"""The parts of a step, plain and ours, on inputs of the recipe's sizes: where the time of a step goes.

Parts with parameters are timed forward and backward, through ``torch.autograd.grad``, so nothing accumulates.

Shapes: B clips, N tubes, L tokens, M masked tubes of all clips, K prototypes, W target width.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sigma_bench.bench.plain import (
    PlainFormulation,
    embed_all_tubes,
    pixel_targets,
    plain_attention,
    plain_optimiser,
    plain_sinkhorn,
)
from sigma_bench.bench.sides import Batch
from sigma_bench.bench.timing import Run
from sigma_bench.models.masked_autoencoder import MaskedAutoencoder
from sigma_bench.models.video_vit import Attention, Block
from sigma_bench.sigma.model import SigmaModel
from sigma_bench.sigma.sinkhorn import balance_prototypes
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.sigma.swapped import swapped_prediction
from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.step import unit_features


class Piece(NamedTuple):
    """One part of a step, done both ways."""

    name: str
    sizes: str
    plain: Run
    ours: Run


def pieces(method: MaskedVideoMethod, batch: Batch, dtype: torch.dtype) -> Iterator[Piece]:
    """All parts of the method's step; to be run under the autocast of ``dtype``."""
    model, objective = method.model, method.recipe.objective
    batch_size, num_tubes = batch.mask_BN.shape
    num_visible = int((~batch.mask_BN[0]).sum())
    yield _embedding(model, batch)
    yield _pixels(model, batch)
    for name, blocks, tokens in (
        ("encoder attention", model.encoder.blocks, num_visible),
        ("decoder attention", model.decoder.blocks, num_tubes),
    ):
        assert isinstance(blocks[0], Block)
        yield _attention(name, blocks[0].attn, batch_size, tokens, batch.clip_BCTHW.device)
    if isinstance(model, SigmaModel):
        assert isinstance(objective, ClusterObjective)
        target_MW, guess_MW = loss_head_inputs(model, batch.mask_BN)
        yield _sinkhorn(model, target_MW, objective, dtype)
        yield loss_head(model, target_MW, guess_MW, objective)
    yield _optimiser(method)


def loss_head_inputs(model: SigmaModel, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
    """Features of the masked tubes as projector and decoder may give them, random, both (M, W)."""
    prototype_KW = model.prototypes.weight
    generator = torch.Generator(prototype_KW.device).manual_seed(0)
    size = (int(mask_BN.sum()), prototype_KW.shape[1])
    target_MW, guess_MW = (
        torch.randn(size, generator=generator, device=prototype_KW.device, dtype=prototype_KW.dtype) for _ in range(2)
    )
    return target_MW.requires_grad_(), guess_MW.requires_grad_()


def loss_head(model: SigmaModel, target_MW: Tensor, guess_MW: Tensor, objective: ClusterObjective) -> Piece:
    """Everything from features to the gradient of features and prototypes."""
    formulation = PlainFormulation(model, objective)
    leaves = (target_MW, guess_MW, model.prototypes.weight)

    def ours() -> tuple[Tensor, ...]:
        target, guess, prototype_KW = unit_features(target_MW), unit_features(guess_MW), model.prototypes.unit()
        loss = swapped_prediction(target, guess, prototype_KW, objective).loss
        return torch.autograd.grad(loss, leaves)

    def plain() -> tuple[Tensor, ...]:
        return torch.autograd.grad(formulation.loss(target_MW, guess_MW), leaves)

    return Piece("loss head", _matrix(target_MW, model), plain, ours)


def _embedding(model: MaskedAutoencoder, batch: Batch) -> Piece:
    embedding, (clip_BCTHW, mask_BN) = model.encoder.patch_embed, batch

    def ours() -> tuple[Tensor, ...]:
        return _gradients(embedding(clip_BCTHW, ~mask_BN), embedding)

    def plain() -> tuple[Tensor, ...]:
        token_BND = embed_all_tubes(embedding.proj, clip_BCTHW)
        return _gradients(token_BND[~mask_BN], embedding)

    return Piece("tube embedding", f"{len(mask_BN)} x {int((~mask_BN[0]).sum())} tubes", plain, ours)


def _pixels(model: MaskedAutoencoder, batch: Batch) -> Piece:
    clip_BCTHW, mask_BN = batch
    return Piece(
        "pixel targets",
        f"{len(mask_BN)} x {int(mask_BN[0].sum())} tubes",
        lambda: pixel_targets(clip_BCTHW, mask_BN, model.encoder.spec),
        lambda: model.masked_pixels(clip_BCTHW, mask_BN),
    )


def _attention(name: str, attention: Attention, batch_size: int, num_tokens: int, device: torch.device) -> Piece:
    width = attention.q_bias.shape[0]
    token_BLD = torch.randn(batch_size, num_tokens, width, device=device, dtype=attention.q_bias.dtype)
    token_BLD.requires_grad_()
    return Piece(
        name,
        f"{batch_size} x {num_tokens} tokens, {attention.num_heads} heads",
        lambda: _gradients(plain_attention(attention, token_BLD), attention, token_BLD),
        lambda: _gradients(attention(token_BLD), attention, token_BLD),
    )


def _sinkhorn(model: SigmaModel, target_MW: Tensor, objective: ClusterObjective, dtype: torch.dtype) -> Piece:
    with torch.no_grad():
        score_MK = unit_features(target_MW) @ model.prototypes.unit().T
    epsilon, iterations = objective.epsilon, objective.sinkhorn_iterations
    score_as_released = score_MK.to(dtype)
    return Piece(
        "Sinkhorn",
        _matrix(target_MW, model),
        lambda: plain_sinkhorn(score_as_released, epsilon, iterations),
        lambda: balance_prototypes(score_MK / epsilon, bound=1 / epsilon, num_iterations=iterations),
    )


def _optimiser(method: MaskedVideoMethod) -> Piece:
    """Both at rate 0, so that the parameters stay what they are; gradients are there from a step before."""
    ours = method.build_optimiser()
    plain = plain_optimiser(ours)
    for parameter in method.parameters():
        parameter.grad = torch.ones_like(parameter)
    count = sum(parameter.numel() for parameter in method.parameters())
    return Piece("AdamW", f"{count / 1e6:.1f} M parameters", plain.step, ours.step)


def _gradients(out: Tensor, module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, (*module.parameters(), *inputs), torch.ones_like(out))


def _matrix(feature_MW: Tensor, model: SigmaModel) -> str:
    return f"{len(feature_MW)} x {len(model.prototypes.weight)} scores"
