"""AdamW with the parameter groups of the released recipes."""

import torch
from torch import nn

from sigma_bench.specs.recipe import OptimSpec

_NEVER_DECAYED = ("mask_token",)


def build_optimiser(model: nn.Module, optim: OptimSpec) -> torch.optim.AdamW:
    """No decay for vectors, biases and the mask token; prototypes do decay, as released."""
    decayed, plain = [], []
    for name, parameter in model.named_parameters():
        (decayed if parameter.ndim > 1 and name not in _NEVER_DECAYED else plain).append(parameter)
    groups = [{"params": decayed, "weight_decay": optim.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=optim.betas, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
