"""knn_loo: the votes of ``knn`` within one split, for datasets without train and test."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import CLASSIFICATION_SCORING, Accuracy, FrozenProtocol, NeighbourVotes
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse


class KnnLooProtocol(FrozenProtocol, NeighbourVotes):
    """The bank is the scored split; samples of the query's group have no vote."""

    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    kind: Literal["knn_loo"]
    clip: ClipSpec
    metrics: tuple[Accuracy, ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The split 'all'; ValueError if the dataset has train and test instead."""
        if "all" not in names:
            raise ValueError("knn_loo is for one split 'all'; use knn")
        return (SplitUse("all"),)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass over the split."""
        return (Pass(splits[0].name, self.clip, precision=self.encoder_precision),)
