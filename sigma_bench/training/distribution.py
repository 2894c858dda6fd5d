"""Processes of a run: the environment of torchrun, ranks, devices, collectives, and the memory of a process.

A single process has no groups; every collective is then the identity.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from sigma_bench.failures import failure_sentence
from sigma_bench.training.termination import end_with_launcher


@dataclass(frozen=True)
class Processes:
    """The processes of a run, with device and rank of this process."""

    device: torch.device
    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None
    """Group of all processes for tensors on the devices; None for a single process."""
    control: dist.ProcessGroup | None = None
    """Group of all processes for flags and objects on the CPU, which must not wait for a GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process."""
        return self.total(int(flag)) > 0

    def total(self, count: int) -> int:
        """Sum over the processes."""
        if self.control is None:
            return count
        value = torch.tensor(count)
        dist.all_reduce(value, dist.ReduceOp.SUM, self.control)
        return int(value)

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of ranks; a value is any object that can be pickled."""
        if self.control is None:
            return [value]
        values = [None] * self.size
        dist.all_gather_object(values, value, self.control)
        return values

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.group is None:
            return value
        total = value.clone()
        dist.all_reduce(total, dist.ReduceOp.SUM, self.group)
        return total / self.size

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.control is not None:
            dist.barrier(self.control)


class LostPeerError(ValueError):
    """Another process of the run has ended, so this one cannot go on."""


class OneSidedError(Exception):
    """This process failed at a point at which the others wait for it, so the run of all processes ends.

    ``__cause__`` is the original error.
    """

    is_sentence = True


@contextmanager
def lost_peers_named(processes: Processes) -> Iterator[None]:
    """Replace the error of a collective by one sentence if another process has ended.

    Raises:
        LostPeerError: a collective failed because another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if processes.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        raise LostPeerError(
            f"process {processes.rank}: another process of this run has ended; "
            "the same command continues from the last checkpoint"
        ) from error


@contextmanager
def one_sided_errors_named(processes: Processes) -> Iterator[None]:
    """Context for a block in which the processes wait for one another at every step, such as training.

    Every process raises a ValueError (a loss that is not finite, too many decoding failures) at the same step, so it is
    passed on.

    Raises:
        OneSidedError: one of several processes failed with any other error.  It has to end, because the exchange that
            the others wait for (gradients, on a GPU) cannot carry an error.
    """
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        if processes.size == 1:
            raise
        raise OneSidedError(f"process {processes.rank}: {failure_sentence(error)}") from error


@contextmanager
def usual_arithmetic() -> Iterator[None]:
    """Context in which torch computes as in a new process: float32 without autocast, and with gradients.

    A notebook may have changed these settings, and the keys of what is stored do not contain them.
    """
    dtype, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.autocast("cpu", enabled=False),
            torch.autocast("cuda", enabled=False),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_float32_matmul_precision(precision)


@contextmanager
def joined_processes(device: str | torch.device = "auto") -> Iterator[Processes]:
    """Context with the processes that torchrun describes in the environment, or with this process alone.

    The process groups are destroyed at its end.

    Inside the block torch computes as it does in a new process, see ``usual_arithmetic``.

    Args:
        device: as for ``choose_device``.

    Raises:
        ValueError: as ``choose_device``.
    """
    with usual_arithmetic():
        yield from _joined(device)


def _joined(device: str | torch.device) -> Iterator[Processes]:
    end_with_launcher()
    place = choose_device(device)
    on_gpu = place.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(place)
    if "WORLD_SIZE" not in os.environ:
        yield Processes(place)
        return
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        control = dist.new_group(backend="gloo")
        assert isinstance(control, dist.ProcessGroup)
        yield Processes(place, dist.get_rank(), dist.get_world_size(), dist.group.WORLD, control)
    except OneSidedError:
        raise  # this process reports the error; ending it ends the process groups, and so the other processes
    except BaseException:
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def choose_device(name: str | torch.device) -> torch.device:
    """The device of a name.

    Args:
        name: ``auto``: the GPU of the local rank if there is a GPU, else the CPU; ``cpu``; ``cuda``: that GPU.

    Raises:
        ValueError: the name is another one, or it is ``cuda`` and there is no GPU.
    """
    name = str(name)
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"--device {name}: choose auto, cpu or cuda")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ValueError("--device cuda: torch finds no GPU here; use cpu, or see 'sigma-bench doctor'")
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if name != "cpu" and has_gpu else torch.device("cpu")
    )


def keep_freed_memory() -> None:
    """Keep memory that a training step or a frozen pass frees for the next one, if the C library is glibc.

    By default, glibc returns large blocks to the system as soon as they are freed, and the next step requests every
    page again.  On a CPU this costs a twentieth of a pretraining step and more, and up to half of a frozen pass.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library, trim_threshold, mmap_threshold = ctypes.CDLL(None), -1, -3  # numbers of the options in malloc.h
    library.mallopt(mmap_threshold, 2**30)
    library.mallopt(trim_threshold, 2**31 - 1)
