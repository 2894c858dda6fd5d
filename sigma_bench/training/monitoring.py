"""Progress of a run: rows of the training history, TensorBoard events, and a warning when features collapse."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch

from sigma_bench.training.distribution import Processes
from sigma_bench.training.step import StepOutput

LOG_EVERY_STEPS = 10
EVENTS_FOLDER = "tensorboard"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Progress after a logged step."""

    step: int
    num_steps: int
    loss: float
    lr: float
    monitors: dict[str, float]
    clips_per_second: float
    waiting_share: float
    """Fraction of the time spent waiting for data."""
    num_failures: int
    """Number of videos left out so far because they cannot be read."""
    first_step: int = 0
    """Number of steps that earlier attempts had finished."""

    def as_row(self) -> dict[str, float]:
        """The row of the training history, which does not depend on the speed of the machine."""
        row = {"step": self.step, "loss": self.loss, "lr": self.lr, **self.monitors}
        return {**row, "decoding_failures": self.num_failures} if self.num_failures else row


class NotFiniteError(ValueError):
    """The loss of a step is not finite."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss of step {step + 1} is {loss}")
        self.step = step


@dataclass
class LossWindow:
    """Losses of the steps since the last call of ``close``.

    Reading a loss waits for the GPU, so losses are read together.
    """

    processes: Processes
    _outputs: list[tuple[int, StepOutput]] = field(default_factory=list)

    def add(self, step: int, output: StepOutput) -> None:
        self._outputs.append((step, output))

    def close(self) -> tuple[float, dict[str, float]]:
        """Loss and monitors of the last step, means over the processes; NaN and nothing if there was no step.

        Raises:
            NotFiniteError: the loss of a step is not finite.
        """
        if not self._outputs:
            return math.nan, {}
        losses = self.processes.mean(torch.stack([output.loss.detach() for _, output in self._outputs])).tolist()
        for (step, _), loss in zip(self._outputs, losses, strict=True):
            if not math.isfinite(loss):
                raise NotFiniteError(step, loss)
        last = self._outputs[-1][1].monitors
        self._outputs.clear()
        values = self.processes.mean(torch.stack(list(last.values())).float()).tolist() if last else []
        return losses[-1], dict(zip(last, values, strict=True))


class EventWriter:
    """Writer of TensorBoard events; events after step ``first``, which a killed run has written, are removed."""

    def __init__(self, folder: Path, *, first: int, active: bool) -> None:
        self._writer = None
        if active:
            from torch.utils.tensorboard import SummaryWriter  # the import takes seconds

            self._writer = SummaryWriter(str(folder / EVENTS_FOLDER), purge_step=first + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer:
            self._writer.close()

    def write(self, progress: Progress) -> None:
        row = {**progress.as_row(), "clips_per_second": progress.clips_per_second, "waiting": progress.waiting_share}
        step = int(row.pop("step"))
        for name, value in row.items():
            if self._writer:
                self._writer.add_scalar(f"pretraining/{name}", value, step)


def warn_of_collapse(progress: Progress, collapsed_below: Mapping[str, float]) -> list[str]:
    """One sentence per monitor that shows a collapse of the features, logged as a warning.

    Args:
        collapsed_below: monitors and their limits, ``Method.collapsed_below``.
    """
    sentences = [
        f"step {progress.step}: {name.replace('_', ' ')} is {progress.monitors[name]:.3f}, below {limit}: the "
        "features are collapsing; lower the learning rate (of SIGMA also projector_lr_scale), or lengthen the warm-up"
        for name, limit in collapsed_below.items()
        if progress.monitors.get(name, math.inf) < limit
    ]
    for sentence in sentences:
        log.warning(sentence)
    return sentences
