"""AdamW with the parameter groups of the released recipes."""

import torch
from torch import nn

from sigma_bench.specs.recipe import OptimSpec


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


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate of this step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]
