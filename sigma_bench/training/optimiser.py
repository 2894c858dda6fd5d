"""AdamW with the parameter groups of the released recipes, and the learning rate of every step."""

import math

import torch
from torch import nn

from sigma_bench.specs.recipe import OptimSpec
from sigma_bench.specs.training_protocol import SupervisedOptim


def build_optimiser(
    model: nn.Module, optim: OptimSpec, *, projector: tuple[str, ...] = (), never_decayed: tuple[str, ...] = ()
) -> torch.optim.AdamW:
    """AdamW of the parameters that learn; vectors and biases have no weight decay.

    Args:
        projector: prefixes of the parameters whose learning rate is scaled by ``projector_lr_scale``.
        never_decayed: names of further parameters without weight decay.

    Raises:
        ValueError: the recipe scales the rate of a projector, and the method has none.
    """
    if not projector and optim.projector_lr_scale != 1:
        raise ValueError(
            f"projector_lr_scale is {optim.projector_lr_scale}, but this method trains no projector; write 1.0"
        )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = optim.weight_decay if parameter.ndim > 1 and name not in never_decayed else 0.0
        scale = optim.projector_lr_scale if name.startswith(projector) else 1.0
        groups.setdefault((decay, scale), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "lr_scale": scale} for (decay, scale), params in groups.items()],
        lr=0.0,
        betas=optim.betas,
        fused=True,
    )


def learning_rate(optim: OptimSpec | SupervisedOptim, step: int, num_steps: int, steps_per_epoch: int) -> float:
    """Rate of one optimiser step (0-based), scaled to the global batch: linear warm-up, then half a cosine.

    VideoMAE and SIGMA use this schedule for pretraining, fine-tuning and linear probing.

    The W warm-up steps have evenly spaced rates from 0 to the peak, both included: the first step has rate 0 and the
    last warm-up step has the peak.  A single warm-up step has rate 0.  The cosine starts at the peak and would reach
    the final rate one step after the run.
    """
    scale = optim.global_batch / 256
    peak, final = optim.lr_per_256 * scale, optim.final_lr_per_256 * scale
    warmup = round(optim.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return peak * step / max(1, warmup - 1)
    progress = (step - warmup) / max(1, num_steps - warmup)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group to the rate of the step times the factor of the group."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]
