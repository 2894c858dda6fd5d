"""Protocols that judge features of a frozen encoder: pooled ones, or all of its tokens."""

from typing import ClassVar, Literal

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.condition import Condition
from sigma_bench.specs.recipe import Count, Fraction, Positive

Accuracy = Literal["top1", "top5", "mean_class_accuracy"]
ClusterMetric = Literal["hungarian_accuracy", "nmi", "ari", "purity", "overclustering_accuracy"]


class TaughtProtocol(BaseProtocol):
    """Learns from the split that teaches, which stays as it is, and is asked about the scored one."""

    uses_folds: ClassVar[bool] = True
    clip: ClipSpec
    train_per_class: Count | None = None
    """Samples of every class that teach, drawn as ``data/subsets.py`` says; all where absent."""
    test_condition: Condition | None = None
    """Of the scored clips alone, in the place of the clip's own."""

    @property
    def asked_clip(self) -> ClipSpec:
        """How the scored samples become clips."""
        return self.clip.model_copy(update={"condition": self.test_condition}) if self.test_condition else self.clip


class NeighbourProtocol(BaseProtocol):
    """Cosine-weighted nearest-neighbour votes on pooled frozen features (DINO; Wu et al., arXiv 1805.01978)."""

    clip: ClipSpec
    pooling: Literal["mean"]
    neighbours: Count
    temperature: Positive
    """A neighbour of cosine s votes with weight exp(s / temperature)."""
    metrics: tuple[Accuracy, ...]


class KnnProtocol(NeighbourProtocol, TaughtProtocol):
    """The bank is the split that teaches."""

    kind: Literal["knn"]


class KnnLooProtocol(NeighbourProtocol):
    """The bank is the scored split itself, for datasets without a split; nobody of a query's group votes."""

    kind: Literal["knn_loo"]


class HeadGridProtocol(TaughtProtocol):
    """Heads for every learning rate and weight decay, trained in one pass over the features; one is chosen.

    The best top-1 on a held-out part of train wins (on a tie the one that decays most, then the slowest), and is
    trained again on all of train.
    """

    learning_rates: tuple[Positive, ...]
    """At the start; rising order.  They do not depend on the batch."""
    weight_decays: tuple[Positive, ...]
    """Falling order; biases do not decay."""
    held_out_fraction: Fraction
    """Share of train groups (of samples where groups are the samples) that chooses; then all of train is refitted."""
    batch_size: Count
    epochs: Count
    least_steps: Count
    """A small train set is gone through more often than ``epochs`` says, until it has had so many steps."""
    schedule: Literal["cosine"]
    """Half a cosine from the learning rate to 0, set per step."""
    metrics: tuple[Accuracy, ...]


class LinearProtocol(HeadGridProtocol):
    """One linear layer on pooled frozen features."""

    kind: Literal["linear"]
    pooling: Literal["mean"]
    standardise: Literal["train_statistics"]
    optimiser: Literal["sgd_nesterov"]
    momentum: Fraction


class AttentiveProtocol(HeadGridProtocol):
    """A cross-attention block with one learned query on frozen tokens, then a linear layer (V-JEPA)."""

    kind: Literal["attentive"]
    tokens: Literal["all"]
    """Which tokens of a clip are attended to; those of all clips of a sample together."""
    attention_heads: Count
    """At most; the largest divisor of the feature width is taken."""
    mlp_ratio: Count
    optimiser: Literal["adamw"]


class ClusteringProtocol(BaseProtocol):
    """k-means on pooled frozen features of the scored split, clusters matched to classes."""

    kind: Literal["clustering"]
    clip: ClipSpec
    pooling: Literal["mean"]
    normalise: Literal["unit_length"]
    clusters: Literal["classes"]
    """As many as the dataset has classes, whether or not each occurs."""
    overclustering_factor: Count
    """The second clustering has so many times the classes; every cluster stands for the class that fills most of it."""
    num_seeds: Count
    """Repetitions with other starts; scores are means, their spread is recorded."""
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    metrics: tuple[ClusterMetric, ...]
