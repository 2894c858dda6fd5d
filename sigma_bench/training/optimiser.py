"""AdamW with the parameter groups of the released recipes, and a rate of its own for the projection network."""

import torch
from torch import nn

from sigma_bench.specs.recipe import OptimSpec

_NEVER_DECAYED = ("mask_token",)
_PROJECTION = ("projector.", "prototypes.")


def build_optimiser(model: nn.Module, optim: OptimSpec) -> torch.optim.AdamW:
    """No decay for vectors, biases and the mask token; prototypes do decay, as released."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = optim.weight_decay if parameter.ndim > 1 and name not in _NEVER_DECAYED else 0.0
        scale = optim.projector_lr_scale if name.startswith(_PROJECTION) else 1.0
        groups.setdefault((decay, scale), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "lr_scale": scale} for (decay, scale), params in groups.items()],
        lr=0.0,
        betas=optim.betas,
        fused=True,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]
