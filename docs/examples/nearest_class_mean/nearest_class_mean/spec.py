"""The keys of the protocol, its splits and its passes; this module is imported without torch."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.extend import (
    ClipSpec,
    CountsFailures,
    EncoderCard,
    Folds,
    FrozenProtocol,
    Pass,
    SampleLabels,
    SplitUse,
    train_test_splits_or_folds,
)


class NearestClassMeanProtocol(FrozenProtocol, CountsFailures):
    """A test sample gets the class whose mean training feature is nearest."""

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = "nearest_class_mean.scores"
    kind: Literal["nearest_class_mean"]
    clip: ClipSpec
    distance: Literal["euclidean", "cosine"]
    """Distance between a feature and the mean feature of a class."""
    metrics: tuple[Literal["top1", "mean_reciprocal_rank"], ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or the one split of a cross-validation."""
        return train_test_splits_or_folds(names, folds, per_class=None)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass over each split, of which only the mean over tokens and clips is needed."""
        return tuple(Pass(split.name, self.clip, precision=self.encoder_precision) for split in splits)
