"""A hyperparameter grid of heads on frozen features.

All heads are trained together, one is chosen on a held-out part of train, and its setting is trained again on all of
train.  DINOv2's linear evaluation (arXiv 2304.07193) also trains all heads on the same batches, but chooses on the test
set.

Shapes: S samples of a split, F samples to fit on, Q test samples, B samples of a batch, H heads, L classes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from sigma_bench.protocols.classification import TrainFeatures, classify
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
from sigma_bench.protocols.ranking import ranked
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.specs.frozen_protocol import HeadGridProtocol

CHUNK_SAMPLES = 512
"""Number of samples that are scored at once."""
MEASURED_STEPS = 12
"""Number of steps from which the time of a training on mean features is predicted."""
MEASURED_TOKEN_STEPS = 4
"""The same for a training on tokens, whose steps take longer."""


class Setting(NamedTuple):
    """Hyperparameters of one head."""

    learning_rate: float
    weight_decay: float


class Heads(Protocol):
    """Trained heads."""

    def scores(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Class scores of some samples, (B, H, L)."""
        ...


Fit = Callable[[np.ndarray, Sequence[Setting]], Heads]
"""Trains one head per setting on these rows (F,) of the training features."""
FitHeads = Callable[
    [TrainFeatures, np.ndarray, Sequence[Setting], Any, int, torch.device, Callable[[int, int], None]], Heads
]
"""As ``Fit``, with the training features before and the protocol, seed, device and report after these arguments."""


def run_head_grid(evaluation: Evaluation[Any], fit_heads: FitHeads, phase: str) -> Predictions | None:
    """Fit a grid of heads on train and predict every sample of the test split with the chosen one.

    Args:
        phase: name of the training in progress reports.

    Returns:
        None on the other processes, which only compute features.

    Raises:
        ValueError: as ``classify`` and ``chosen_scores``.
    """
    protocol = evaluation.protocol

    def classifier(train: TrainFeatures, test: SplitFeatures, index_Q: np.ndarray) -> tuple[np.ndarray, Selection]:
        def fit(row_F: np.ndarray, settings: Sequence[Setting]) -> Heads:
            def report(done: int, total: int) -> None:
                evaluation.report(phase, done, total)

            return fit_heads(train, row_F, settings, protocol, evaluation.seed, evaluation.processes.device, report)

        score_QL, selection = chosen_scores(fit, train, test, index_Q, protocol, evaluation.seed)
        return ranked(score_QL), selection

    return classify(evaluation, classifier)


def grid_seconds(fit_heads: FitHeads, protocol: HeadGridProtocol, sizes: HeadSizes, *, num_tokens: int = 0) -> float:
    """Predicted time of the training of ``run_head_grid``, from a few steps on random features.

    Args:
        num_tokens: number of tokens of a sample; 0 if the heads are trained on mean features.
    """
    steps = MEASURED_TOKEN_STEPS if num_tokens else MEASURED_STEPS
    rows = min(sizes.num_train, (1 if num_tokens else steps) * protocol.batch_size)
    index, rng = np.arange(rows), np.random.default_rng(0)
    feature_SD = rng.standard_normal((rows, sizes.feature_width), np.float32)
    token_SVND = np.repeat(feature_SD[:, None, None].astype(np.float16), num_tokens, axis=2)
    features = SplitFeatures(feature_SD, {}, token_SVND if num_tokens else None)
    train = TrainFeatures(features, index, index % sizes.num_classes, index, sizes.num_classes)
    few = protocol.model_copy(update={"epochs": 1, "least_steps": steps})

    def seconds_per_step(settings: Sequence[Setting]) -> float:
        marks: list[float] = []
        fit_heads(train, index, settings, few, 0, sizes.device, lambda done, total: marks.append(sizes.now()))
        return (marks[-1] - marks[0]) / max(len(marks) - 1, 1)

    grid, kept = grid_settings(protocol), round(sizes.num_train * (1 - protocol.held_out_fraction))
    fitted, refitted = num_steps(kept, protocol), num_steps(sizes.num_train, protocol)
    return seconds_per_step(grid) * fitted + seconds_per_step(grid[:1]) * refitted


def chosen_scores(
    fit: Fit, train: TrainFeatures, test: SplitFeatures, index_Q: np.ndarray, protocol: HeadGridProtocol, seed: int
) -> tuple[np.ndarray, Selection]:
    """Class scores (Q, L) of the chosen head, and how it was chosen; test samples are not used for the choice.

    Raises:
        ValueError: nothing can be held out, all heads of the grid diverge, or the chosen one does on all of train.
    """
    fit_F, held_out = held_out_split(train.group_S, protocol.held_out_fraction, seed)
    settings = grid_settings(protocol)
    top1_H, finite_H = _top1(fit(fit_F, settings), train, held_out)
    candidates = [
        Candidate(setting=setting._asdict(), held_out_top1=float(top1))
        for setting, top1 in zip(settings, top1_H, strict=True)
    ]
    if not finite_H.any():
        raise ValueError(f"{protocol.protocol}: every head diverges; lower learning_rates")
    chosen = max(np.flatnonzero(finite_H).tolist(), key=lambda head: candidates[head].top1)
    heads = fit(np.arange(len(train.label_S)), [settings[chosen]])
    score_QL = np.concatenate([part[:, 0].cpu().numpy() for part in _chunks(heads, test, index_Q)])
    if not np.isfinite(score_QL).all():
        raise ValueError(f"{protocol.protocol}: the chosen head diverges on all of train; lower learning_rates")
    diverged = tuple(
        f"learning_rate={setting.learning_rate:g}, weight_decay={setting.weight_decay:g}: diverged"
        for setting, finite in zip(settings, finite_H, strict=True)
        if not finite
    )
    selection = Selection(
        rule=f"best top-1 on held-out {protocol.held_out_fraction:.0%} of train, then refitted on all of train",
        grid=tuple(candidates),
        chosen=candidates[chosen].setting,
        warnings=diverged,
    )
    return score_QL, selection


def grid_settings(protocol: HeadGridProtocol) -> list[Setting]:
    """All settings; the largest weight decay and the smallest learning rate come first."""
    return [Setting(rate, decay) for decay in protocol.weight_decays for rate in protocol.learning_rates]


def held_out_split(group_S: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to fit on and indices to choose by; no group is in both.

    Raises:
        ValueError: fewer than two groups.
    """
    if len(np.unique(group_S)) < 2:
        raise ValueError("a part of train must be held out to choose by, but all of train is one group")
    splitter = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    return next(splitter.split(group_S, groups=group_S))


def num_steps(num_samples: int, protocol: HeadGridProtocol) -> int:
    """Number of training steps for this many samples."""
    return max(protocol.least_steps, math.ceil(protocol.epochs * num_samples / protocol.batch_size))


def train_heads(
    num_samples: int,
    protocol: HeadGridProtocol,
    seed: int,
    step: Callable[[np.ndarray, float], None],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Train all heads of a grid on the same batches.

    Args:
        num_samples: number of samples to fit on.
        step: takes one step of all heads; its arguments are the positions of the batch among these samples, (B,), and
            the factor on the learning rates.
        report: is called with the number of steps done and the total number.
    """
    total = num_steps(num_samples, protocol)
    for number, batch in enumerate(batches(num_samples, protocol, seed)):
        step(batch, 0.5 * (1 + math.cos(math.pi * number / total)))
        report(number + 1, total)


def batches(num_samples: int, protocol: HeadGridProtocol, seed: int) -> Iterator[np.ndarray]:
    """Positions of the samples of every batch, (B,).

    Each pass over the samples has a new random order, and a batch may begin in one pass and end in the next.
    """
    rng, size = np.random.default_rng(seed), min(protocol.batch_size, num_samples)
    waiting = rng.permutation(num_samples)
    for _ in range(num_steps(num_samples, protocol)):
        if len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(num_samples)])
        yield waiting[:size]
        waiting = waiting[size:]


def _top1(heads: Heads, train: TrainFeatures, row_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Top-1 of every head on these rows of the training features, and whether all its scores are finite, each (H,)."""
    label_S = torch.from_numpy(train.label_S[row_S])
    hits, finite, done = [], [], 0
    for score_BHL in _chunks(heads, train.features, train.index_S[row_S]):
        label_B = label_S[done : done + len(score_BHL)].to(score_BHL.device)
        hits.append((score_BHL.argmax(-1) == label_B[:, None]).sum(0))
        finite.append(score_BHL.isfinite().all(-1).all(0))
        done += len(score_BHL)
    return (torch.stack(hits).sum(0) / done).cpu().numpy(), torch.stack(finite).all(0).cpu().numpy()


def _chunks(heads: Heads, features: SplitFeatures, index_S: np.ndarray) -> Iterator[Tensor]:
    for start in range(0, len(index_S), CHUNK_SAMPLES):
        yield heads.scores(features, index_S[start : start + CHUNK_SAMPLES])
