"""Measuring time and memory on a CPU or a GPU: marks between phases, and two sides in alternation."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

WARM_UP_ROUNDS = 2

Run = Callable[[], object]


class Marks:
    """Seconds between successive marks, by name; on a GPU through events, so that nothing waits in between."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._names: list[str] = []
        if self._is_cuda:
            torch.cuda.synchronize(device)
        self._moments = [self._now()]

    def __call__(self, name: str) -> None:
        """The phase called ``name`` ends here."""
        self._names.append(name)
        self._moments.append(self._now())

    def seconds(self) -> dict[str, float]:
        """Length of each phase; waits for the device."""
        if self._is_cuda:
            self._moments[-1].synchronize()
            lengths = [a.elapsed_time(b) / 1000 for a, b in zip(self._moments, self._moments[1:], strict=False)]
        else:
            lengths = [b - a for a, b in zip(self._moments, self._moments[1:], strict=False)]
        return dict(zip(self._names, lengths, strict=True))

    def _now(self):
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def seconds_of(run: Run, device: torch.device) -> float:
    """Time of one call."""
    marks = Marks(device)
    run()
    marks("run")
    return marks.seconds()["run"]


def alternate(plain: Run, ours: Run, rounds: int, device: torch.device) -> tuple[list[float], list[float]]:
    """Seconds of both sides per round, after warm-up; the order changes every round."""
    seconds: dict[Run, list[float]] = {plain: [], ours: []}
    for index in range(WARM_UP_ROUNDS + rounds):
        for run in (plain, ours) if index % 2 else (ours, plain):
            length = seconds_of(run, device)
            if index >= WARM_UP_ROUNDS:
                seconds[run].append(length)
    return seconds[plain], seconds[ours]


def extra_bytes(run: Run, device: torch.device) -> int | None:
    """Peak memory of one call above what was held before it; None where the system does not tell.

    On Linux the kernel's high-water mark of the process is reset first (``/proc/self/clear_refs``), and freed heap
    is returned, since memory that the allocator kept would hide what the call takes.
    """
    run()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    if not sys.platform.startswith("linux"):
        return None
    ctypes.CDLL(None).malloc_trim(0)
    before = status_bytes("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # some containers do not allow it
        return None
    run()
    return status_bytes("VmHWM") - before


def status_bytes(key: str) -> int:
    """A value of /proc/self/status in bytes, such as ``VmHWM``, the peak of resident memory."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/self/status has no {key}")
