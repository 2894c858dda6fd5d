"""A grid of heads on frozen features: trained together, one chosen on a held-out part of train, that one refitted.

DINOv2's linear evaluation (arXiv 2304.07193) trains all heads on the same batches; it chooses on the test set, which
we do not.

Shapes: S samples of a split, F of them to fit on, B of a batch, H heads, L classes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.records.record import Candidate, Selection
from sigma_bench.specs.frozen import HeadGridProtocol

CHUNK_SAMPLES = 512
"""Answered at once."""


class Setting(NamedTuple):
    """One point of the grid."""

    learning_rate: float
    weight_decay: float


class Heads(Protocol):
    """Heads that have been trained."""

    def scores(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Scores of the classes for some samples, (B, H, L)."""
        ...


Fit = Callable[[np.ndarray, Sequence[Setting]], Heads]
"""Train a head per setting on the training samples at these places."""


def answers(
    fit: Fit, train: TrainFeatures, test: SplitFeatures, index_Q: np.ndarray, protocol: HeadGridProtocol, seed: int
) -> tuple[np.ndarray, Selection]:
    """Class scores (Q, L) of the chosen head, and how it was chosen; the test samples play no part in the choice.

    Raises:
        ValueError: nothing can be held out, or no head of the grid stayed finite.
    """
    fit_F, held_out = held_out_split(train.group_S, protocol.held_out_fraction, seed)
    settings = grid(protocol)
    hit_H, finite_H = _hits(fit(fit_F, settings), train, held_out)
    candidates = [
        Candidate(setting=setting._asdict(), held_out_top1=float(hit))
        for setting, hit in zip(settings, hit_H, strict=True)
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


def grid(protocol: HeadGridProtocol) -> list[Setting]:
    """All settings, the one that decays most and learns slowest first."""
    return [Setting(rate, decay) for decay in protocol.weight_decays for rate in protocol.learning_rates]


def held_out_split(group_S: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices to fit on and to choose by; no group stands on both sides.

    Raises:
        ValueError: fewer than two groups.
    """
    if len(np.unique(group_S)) < 2:
        raise ValueError("a part of train must be held out to choose by, but all of train is one group")
    splitter = GroupShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    return next(splitter.split(group_S, groups=group_S))


def num_steps(num_samples: int, protocol: HeadGridProtocol) -> int:
    """Steps of a training."""
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
        num_samples: to fit on.
        step: one step of all heads, given the places of the samples of a batch, and the share of their learning rates.
        report: is called with the number of steps done and of all.
    """
    total = num_steps(num_samples, protocol)
    for number, batch in enumerate(batches(num_samples, protocol, seed)):
        step(batch, 0.5 * (1 + math.cos(math.pi * number / total)))
        report(number + 1, total)


def batches(num_samples: int, protocol: HeadGridProtocol, seed: int) -> Iterator[np.ndarray]:
    """Places of the samples of every batch: in a new order each time through, batches running on over its end."""
    rng, size = np.random.default_rng(seed), min(protocol.batch_size, num_samples)
    waiting = rng.permutation(num_samples)
    for _ in range(num_steps(num_samples, protocol)):
        if len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(num_samples)])
        yield waiting[:size]
        waiting = waiting[size:]


def _hits(heads: Heads, train: TrainFeatures, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Top-1 of every head on some of the training samples, and whether all of its scores are finite, each (H,)."""
    label_S = torch.from_numpy(train.label_S[places])
    hits, finite, done = [], [], 0
    for score_BHL in _chunks(heads, train.features, train.index_S[places]):
        label_B = label_S[done : done + len(score_BHL)].to(score_BHL.device)
        hits.append((score_BHL.argmax(-1) == label_B[:, None]).sum(0))
        finite.append(score_BHL.isfinite().all(-1).all(0))
        done += len(score_BHL)
    return (torch.stack(hits).sum(0) / done).cpu().numpy(), torch.stack(finite).all(0).cpu().numpy()


def _chunks(heads: Heads, features: SplitFeatures, index_S: np.ndarray) -> Iterator[Tensor]:
    for start in range(0, len(index_S), CHUNK_SAMPLES):
        yield heads.scores(features, index_S[start : start + CHUNK_SAMPLES])
