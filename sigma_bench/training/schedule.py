"""Learning rate over a run: linear warm-up, then half a cosine, set at every step.

VideoMAE and SIGMA use this schedule for pretraining, fine-tuning and linear probing.
"""

import math

from sigma_bench.specs.recipe import OptimSpec
from sigma_bench.specs.training_protocol import SupervisedOptim


def learning_rate(optim: OptimSpec | SupervisedOptim, step: int, num_steps: int, steps_per_epoch: int) -> float:
    """Rate of one optimiser step (0-based), scaled to the global batch.

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
