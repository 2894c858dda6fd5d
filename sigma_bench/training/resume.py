"""Resumable state: everything a run needs to continue as if it had never stopped.

Batches, clip starts and masks are drawn from streams named by seed and step, so the step number is the
whole position of the data; weights and optimiser state are the rest.
"""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sigma_bench.records.store import write_atomically

STATE_NAME = "resume.pt"


@dataclass(frozen=True)
class Done:
    """What an earlier attempt has done, besides weights and optimiser state."""

    steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Videos that could not be read, with the reason."""


def save_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, *, identity: str, done: Done) -> None:
    """Write the state after some optimiser steps; whole or not at all."""
    buffer = io.BytesIO()
    content = {
        "identity": identity,
        "step": done.steps,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "history": done.history,
        "failures": done.failures,
    }
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, *, identity: str) -> Done:
    """Restore a state if there is one, and say what was done; nothing for a fresh run.

    Raises:
        ValueError: the state belongs to another recipe, seed, data, teacher or init, or is not a state at all.
    """
    if not path.exists():
        return Done()
    content = _content(path, identity)
    model.load_state_dict(content["model"])
    optimiser.load_state_dict(content["optimiser"])
    return Done(content["step"], content["history"], content["failures"])


def require_same_run(path: Path, *, identity: str) -> None:
    """ValueError as for ``load_state``, before anything is written to the folder; weights are not read."""
    if path.exists():
        _content(path, identity, mmap=True)


def _content(path: Path, identity: str, *, mmap: bool = False) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=mmap)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a resumable state; remove it to start afresh") from error
    if content["identity"] != identity:
        raise ValueError(
            f"{path}: belongs to a run with another recipe, seed, data, teacher or init; use those or choose another "
            "--output"
        )
    return content
