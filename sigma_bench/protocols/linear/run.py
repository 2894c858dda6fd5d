"""linear: a grid of linear layers on pooled frozen features, trained together in one pass over the cache.

Each head is a multinomial logistic regression: softmax cross-entropy with weight decay on standardised features.  All
heads share the batches, one matrix product forward and one backward.  Gradients are computed explicitly, without
autograd.

Shapes: S samples of a split, F samples to fit on, B samples of a batch, D width, H heads, L classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import Setting, grid_seconds, run_head_grid, train_heads
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
from sigma_bench.protocols.linear.spec import LinearProtocol

STATISTICS_ROWS = 8192
"""Number of rows that are read at once for mean and standard deviation."""


def run(evaluation: Evaluation[LinearProtocol]) -> Predictions | None:
    """Fit on train, predict every sample of the test split."""
    return run_head_grid(evaluation, fit_heads, "linear heads")


def head_seconds(protocol: LinearProtocol, sizes: HeadSizes) -> float:
    """Predicted time of the training of all heads."""
    return grid_seconds(fit_heads, protocol, sizes)


@dataclass(frozen=True)
class LinearHeads:
    """Linear layers on standardised features."""

    mean_D: Tensor
    scale_D: Tensor
    weight_DHL: Tensor
    bias_HL: Tensor

    def standardised(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Features of some samples, (B, D), on the heads' device."""
        feature_BD = torch.from_numpy(features.feature_SD[index_B]).to(self.mean_D)
        return (feature_BD - self.mean_D) / self.scale_D

    def logits(self, feature_BD: Tensor) -> Tensor:
        """Logits (B, H, L) of standardised features (B, D)."""
        logit_BK = feature_BD @ self.weight_DHL.flatten(1)
        return logit_BK.unflatten(1, tuple(self.bias_HL.shape)) + self.bias_HL

    def scores(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Logits of some samples, (B, H, L)."""
        return self.logits(self.standardised(features, index_B))


def fit_heads(
    train: TrainFeatures,
    row_F: np.ndarray,
    settings: Sequence[Setting],
    protocol: LinearProtocol,
    seed: int,
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LinearHeads:
    """Heads trained from zero by stochastic gradient descent with Nesterov momentum, as in PyTorch's SGD.

    A head that diverges ends with numbers that are not finite; the other heads are not affected.

    Args:
        row_F: rows of ``train`` to fit on, (F,).
    """
    index_F, label_F = train.index_S[row_F], torch.from_numpy(train.label_S[row_F]).to(device)
    rate_H, decay_H = torch.tensor(settings, device=device).T
    mean_D, scale_D = _statistics(train.features.feature_SD, index_F)
    width, shape = len(mean_D), (len(settings), train.num_classes)
    heads = LinearHeads(
        torch.from_numpy(mean_D).to(device),
        torch.from_numpy(scale_D).to(device),
        torch.zeros(width, *shape, device=device),
        torch.zeros(shape, device=device),
    )
    velocity_DHL, velocity_HL = torch.zeros_like(heads.weight_DHL), torch.zeros_like(heads.bias_HL)

    def step(batch: np.ndarray, share: float) -> None:
        feature_BD = heads.standardised(train.features, index_F[batch])
        gradient_BHL = heads.logits(feature_BD).softmax(-1)
        gradient_BHL[torch.arange(len(batch)), :, label_F[batch]] -= 1
        gradient_BHL /= len(batch)
        gradient_DHL = (feature_BD.T @ gradient_BHL.flatten(1)).unflatten(1, shape)
        gradient_DHL.addcmul_(heads.weight_DHL, decay_H[:, None])
        rate = share * rate_H[:, None]
        _step(heads.weight_DHL, velocity_DHL, gradient_DHL, rate, protocol.momentum)
        _step(heads.bias_HL, velocity_HL, gradient_BHL.sum(0), rate, protocol.momentum)

    train_heads(len(row_F), protocol, seed, step, report)
    return heads


def _step(value: Tensor, velocity: Tensor, gradient: Tensor, rate: Tensor, momentum: float) -> None:
    velocity.mul_(momentum).add_(gradient)
    value.addcmul_(gradient.add_(velocity, alpha=momentum), rate, value=-1)


def _statistics(feature_SD: np.ndarray, index_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (1 where it is 0) of some rows, each (D,) float32."""
    scaler = StandardScaler()
    ordered = np.sort(index_F)
    for start in range(0, len(ordered), STATISTICS_ROWS):
        scaler.partial_fit(feature_SD[ordered[start : start + STATISTICS_ROWS]].astype(np.float64))
    return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)
