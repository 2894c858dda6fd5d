"""Processes that train one model: torchrun's environment, the groups they talk through, and the few words they say.

The same code runs alone: then there are no groups, and every collective is the identity.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """This process among those that share the global batch."""

    device: torch.device
    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None
    """Everybody, on the devices; None means alone."""
    control: dist.ProcessGroup | None = None
    """Everybody, on the processors: for flags, which must not wait for a GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set anywhere."""
        if self.control is None:
            return flag
        value = torch.tensor(int(flag))
        dist.all_reduce(value, dist.ReduceOp.MAX, self.control)
        return bool(value)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.group is None:
            return value
        total = value.clone()
        dist.all_reduce(total, dist.ReduceOp.SUM, self.group)
        return total / self.size

    def wait(self) -> None:
        """Until everybody is here."""
        if self.control is not None:
            dist.barrier(self.control)


@contextmanager
def lost_peers_named(world: World) -> Iterator[None]:
    """Turns the error of a collective whose partner has died into one sentence."""
    try:
        yield
    except RuntimeError as error:
        if world.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        raise ValueError(
            f"process {world.rank}: another process of this run has ended; "
            "the same command continues from the last checkpoint"
        ) from error


@contextmanager
def joined_world(device: str = "auto") -> Iterator[World]:
    """The world torchrun describes in the environment, or this process alone; left when the block ends.

    Args:
        device: ``auto`` takes the GPU of the local rank where there is one; ``cpu`` or ``cuda`` insist.

    Raises:
        ValueError: a GPU was asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch sees no GPU here; use --device cpu, or see 'sigma-bench doctor'")
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    if "WORLD_SIZE" not in os.environ:
        yield World(place)
        return
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        control = dist.new_group(backend="gloo")
        assert isinstance(control, dist.ProcessGroup)
        yield World(place, dist.get_rank(), dist.get_world_size(), dist.group.WORLD, control)
    finally:
        dist.destroy_process_group()
