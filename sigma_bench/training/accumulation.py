"""The gradients of one batch, whole or in pieces, on one process or many."""

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sigma_bench.data.examples import Example
from sigma_bench.sigma.step import StepOutput
from sigma_bench.training.distribution import World
from sigma_bench.training.methods import Method

_NAMES = signature(DistributedDataParallel).parameters
_UNSHARED_BUFFERS: dict[str, Any] = {
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False
}
"""Buffers need no exchange before a forward pass; how older versions of torch call that is the second name."""


def accumulate_gradients(
    module: nn.Module,
    method: Method,
    batch: Example,
    *,
    num_pieces: int = 1,
    weight: float = 1.0,
    bfloat16: bool = False,
) -> StepOutput:
    """Add the gradients of one batch, computed in pieces so that it need not fit into memory at once.

    Equipartition is over the global batch, so for SIGMA the potentials of all pieces are found together in a first
    pass without gradient; the result is that of one piece up to rounding, for a third more work.

    Args:
        module: ``method``, or the same wrapped for several processes; gradients are exchanged in the last piece.
        weight: of this process's examples in the mean over processes; 1 where all have equally many.
    """
    split = zip(*(part.tensor_split(method.cuts(batch, num_pieces)) for part in batch), strict=True)
    pieces: list[Example] = [piece for piece in split if len(piece[0])]
    precision = torch.autocast(batch[0].device.type, torch.bfloat16, enabled=bfloat16)
    with precision:
        shared = method.share(pieces) if num_pieces > 1 else None
    outputs = []
    for number, piece in enumerate(pieces, start=1):
        with _unsynchronised(module) if number < len(pieces) else nullcontext():
            with precision:
                output = module(*piece, potentials=shared)
            portion = weight * len(piece[0]) / len(batch[0])
            (output.loss * portion).backward()
        outputs.append((portion, output))
    monitors = {name: _sum([p * o.monitors[name] for p, o in outputs]) for name in outputs[0][1].monitors}
    return StepOutput(_sum([portion * output.loss.detach() for portion, output in outputs]), monitors)


def distributed(method: Method, world: World) -> nn.Module:
    """The method as a module whose gradients are means over the processes."""
    if world.group is None:
        return method
    devices = [world.device] if world.device.type == "cuda" else None
    return DistributedDataParallel(
        method, device_ids=devices, process_group=world.group, gradient_as_bucket_view=True, **_UNSHARED_BUFFERS
    )


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum()


def _unsynchronised(module: nn.Module) -> AbstractContextManager[None]:
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()
