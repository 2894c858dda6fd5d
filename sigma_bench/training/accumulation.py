"""Gradients of a batch that is computed in micro-batches, on one process or several."""

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sigma_bench.data.examples import Example
from sigma_bench.training.distribution import Processes
from sigma_bench.training.method import Method
from sigma_bench.training.step import StepOutput

_NAMES = signature(DistributedDataParallel).parameters
_UNSHARED_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False
}
"""Option that turns off the exchange of buffers before a forward pass, under its name in this version of torch."""


def accumulate_gradients(
    module: nn.Module,
    method: Method,
    batch: Example,
    *,
    num_micro_batches: int = 1,
    weight: float = 1.0,
    bfloat16: bool = False,
) -> StepOutput:
    """Add the gradients of one batch to the parameters, computed in micro-batches to save memory.

    Up to rounding, the result is that of the whole batch.

    Args:
        module: result of ``distributed``; gradients are exchanged in the last micro-batch.
        weight: weight of the examples of this process in the mean over processes; 1 if all have the same number.
        bfloat16: whether forward passes run under autocast to bfloat16.

    Returns:
        Loss and monitors of the batch, as means over its examples, times ``weight``.
    """
    with autocast(batch[0].device, bfloat16):
        micro_batches = method.micro_batches(batch, num_micro_batches)
    outputs = []
    for number, micro_batch in enumerate(micro_batches, start=1):
        with _unsynchronised(module) if number < len(micro_batches) else nullcontext():
            with autocast(batch[0].device, bfloat16):
                output = module(*micro_batch)
            portion = weight * len(micro_batch[0]) / len(batch[0])
            (output.loss * portion).backward()
        outputs.append((portion, output))
    monitors = {name: _sum([p * o.monitors[name] for p, o in outputs]) for name in outputs[0][1].monitors}
    return StepOutput(_sum([portion * output.loss.detach() for portion, output in outputs]), monitors)


def autocast(device: torch.device, bfloat16: bool) -> torch.autocast:
    """Context for a forward pass, under autocast to bfloat16 if it is enabled."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def distributed(method: Method, processes: Processes) -> nn.Module:
    """The method as a module whose gradients are averaged over the processes; the method itself for one process."""
    if processes.group is None:
        return method
    devices = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(
        method, device_ids=devices, process_group=processes.group, gradient_as_bucket_view=True, **_UNSHARED_BUFFERS
    )


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum()


def _unsynchronised(module: nn.Module) -> AbstractContextManager[None]:
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
