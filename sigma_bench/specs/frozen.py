"""Protocols that judge pooled features of a frozen encoder."""

from typing import Literal

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.recipe import Count, Fraction, Positive

Accuracy = Literal["top1", "top5", "mean_class_accuracy"]


class KnnProtocol(BaseProtocol):
    """Cosine-weighted nearest-neighbour votes on pooled frozen features (DINO; Wu et al., arXiv 1805.01978)."""

    kind: Literal["knn"]
    clip: ClipSpec
    pooling: Literal["mean"]
    neighbours: Count
    temperature: Positive
    """A neighbour of cosine s votes with weight exp(s / temperature)."""
    metrics: tuple[Accuracy, ...]


class LinearProtocol(BaseProtocol):
    """Logistic regression on pooled frozen features; its regularisation is chosen on a held-out part of train."""

    kind: Literal["linear"]
    clip: ClipSpec
    pooling: Literal["mean"]
    standardise: Literal["train_statistics"]
    inverse_regularisation_grid: tuple[Positive, ...]
    """scikit-learn's C, tried in this order."""
    held_out_fraction: Fraction
    """Share of train groups (of samples where groups are the samples) that chooses; then all of train is refitted."""
    max_iterations: Count
    metrics: tuple[Accuracy, ...]
