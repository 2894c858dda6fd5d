"""Learning rate over a run: linear warm-up from 0, then half a cosine, set per step (released recipes)."""

import math

from sigma_bench.specs.recipe import OptimSpec
from sigma_bench.specs.supervised import SupervisedOptim


def learning_rate(optim: OptimSpec | SupervisedOptim, step: int, num_steps: int, steps_per_epoch: int) -> float:
    """Rate of one optimiser step (0-based), scaled to the global batch."""
    scale = optim.global_batch / 256
    peak, final = optim.lr_per_256 * scale, optim.final_lr_per_256 * scale
    warmup = round(optim.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return peak * step / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))
