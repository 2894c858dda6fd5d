"""clustering: k-means on mean-pooled features of unit length, clusters matched to classes."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import ReadFailures
from sigma_bench.specs.recipe import Count


class ClusteringProtocol(ReadFailures):
    """k-means with as many clusters as the dataset has classes, whether or not each class occurs."""

    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = "sigma_bench.protocols.clustering.scores"
    kind: Literal["clustering"]
    clip: ClipSpec
    overclustering_factor: Count
    """The second clustering has so many times the classes; every cluster stands for the class that fills most of it."""
    num_seeds: Count
    """Repetitions with other starts; scores are means, their spread is recorded."""
    kmeans_iterations: Count
    kmeans_restarts: Count
    kmeans_max_points_per_centroid: Count
    metrics: tuple[Literal["hungarian_accuracy", "nmi", "ari", "purity", "overclustering_accuracy"], ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The scored split alone: test, or 'all' where there is no test split."""
        for name in ("test", "all"):
            if name in names:
                return (SplitUse(name),)
        raise ValueError("clustering scores the split test or all")

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One over the scored split."""
        return (Pass(splits[0].name, self.clip),)
