"""linear: a grid of linear layers on pooled frozen features, trained together in one pass over the cache.

Softmax cross-entropy with weight decay on standardised features: multinomial logistic regression.  All heads share the
batches and one matrix product forward and one back; the gradient is written out, so nothing is kept for autograd.

Shapes: S samples, B of a batch, D width, H heads, L classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sigma_bench.protocols.classification import TrainFeatures, classify
from sigma_bench.protocols.contract import Evaluation, Predictions
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import Setting, answers, train_heads
from sigma_bench.protocols.linear.spec import LinearProtocol
from sigma_bench.records.record import Selection

STATISTICS_ROWS = 8192
"""Rows that are read at once for mean and standard deviation."""


def run(evaluation: Evaluation[LinearProtocol]) -> Predictions | None:
    """Fit on train, predict every sample of the test split."""
    protocol = evaluation.protocol

    def answer(train: TrainFeatures, test: SplitFeatures, index: np.ndarray) -> tuple[np.ndarray, Selection]:
        def fit(places: np.ndarray, settings: Sequence[Setting]) -> LinearHeads:
            return fit_heads(
                train,
                places,
                settings,
                protocol,
                evaluation.seed,
                evaluation.world.device,
                lambda done, total: evaluation.report("linear heads", done, total),
            )

        return answers(fit, train, test, index, protocol, evaluation.seed)

    return classify(evaluation, answer)


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
        """Of standardised features, (B, H, L)."""
        logit_BK = feature_BD @ self.weight_DHL.flatten(1)
        return logit_BK.unflatten(1, tuple(self.bias_HL.shape)) + self.bias_HL

    def scores(self, features: SplitFeatures, index_B: np.ndarray) -> Tensor:
        """Logits of some samples, (B, H, L)."""
        return self.logits(self.standardised(features, index_B))


def fit_heads(
    train: TrainFeatures,
    places: np.ndarray,
    settings: Sequence[Setting],
    protocol: LinearProtocol,
    seed: int,
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> LinearHeads:
    """Heads from zero by stochastic gradient descent with Nesterov momentum, as PyTorch's SGD defines it.

    A head that diverges ends with numbers that are not finite and leaves the others alone.

    Args:
        places: of ``train``'s samples, those to fit on.
    """
    index_F, label_F = train.index_S[places], torch.from_numpy(train.label_S[places]).to(device)
    rate_H, decay_H = torch.tensor(settings, device=device).T
    mean_D, scale_D = _statistics(train.features.feature_SD, index_F)
    width, shape = len(mean_D), (len(settings), train.num_classes)
    heads = LinearHeads(
        torch.from_numpy(mean_D).to(device),
        torch.from_numpy(scale_D).to(device),
        torch.zeros(width, *shape, device=device),
        torch.zeros(shape, device=device),
    )
    speed_DHL, speed_HL = torch.zeros_like(heads.weight_DHL), torch.zeros_like(heads.bias_HL)

    def step(batch: np.ndarray, share: float) -> None:
        feature_BD = heads.standardised(train.features, index_F[batch])
        slope_BHL = heads.logits(feature_BD).softmax(-1)
        slope_BHL[torch.arange(len(batch)), :, label_F[batch]] -= 1
        slope_BHL /= len(batch)
        slope_DHL = (feature_BD.T @ slope_BHL.flatten(1)).unflatten(1, shape)
        slope_DHL.addcmul_(heads.weight_DHL, decay_H[:, None])
        rate = share * rate_H[:, None]
        _step(heads.weight_DHL, speed_DHL, slope_DHL, rate, protocol.momentum)
        _step(heads.bias_HL, speed_HL, slope_BHL.sum(0), rate, protocol.momentum)

    train_heads(len(places), protocol, seed, step, report)
    return heads


def _step(value: Tensor, speed: Tensor, slope: Tensor, rate: Tensor, momentum: float) -> None:
    speed.mul_(momentum).add_(slope)
    value.addcmul_(slope.add_(speed, alpha=momentum), rate, value=-1)


def _statistics(feature_SD: np.ndarray, index_F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (1 where it is 0) of some rows, each (D,) float32."""
    scaler = StandardScaler()
    ordered = np.sort(index_F)
    for start in range(0, len(ordered), STATISTICS_ROWS):
        scaler.partial_fit(feature_SD[ordered[start : start + STATISTICS_ROWS]].astype(np.float64))
    return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)
