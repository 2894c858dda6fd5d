"""clustering: k-means on mean-pooled features of unit length, clusters matched to classes."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import FrozenProtocol, scored_split
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import CountsFailures
from sigma_bench.specs.recipe import Count


class ClusteringProtocol(FrozenProtocol, CountsFailures):
    """k-means with as many clusters as the dataset has classes, including classes without a sample."""

    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = "sigma_bench.protocols.clustering.scores"
    kind: Literal["clustering"]
    clip: ClipSpec
    overclustering_factor: Count
    """Clusters per class of the second clustering, whose clusters are mapped to their most frequent class."""
    num_seeds: Count
    """Number of repetitions with different initial clusters; scores are means, and their spread is recorded."""
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    metrics: tuple[Literal["hungarian_accuracy", "nmi", "ari", "purity", "overclustering_accuracy"], ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The scored split: test, or 'all' if there is no test split."""
        return scored_split("clustering", names)

    def least_samples(self, split: str, num_classes: int) -> int:
        """A sample for every cluster."""
        return num_classes * self.overclustering_factor

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass over the scored split."""
        return (Pass(splits[0].name, self.clip, precision=self.encoder_precision),)
