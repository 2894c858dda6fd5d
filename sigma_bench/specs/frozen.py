"""What protocols that judge features of a frozen encoder have in common."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.condition import Condition
from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import ReadFailures
from sigma_bench.specs.recipe import Count, Fraction, Positive

Accuracy = Literal["top1", "top5", "mean_class_accuracy"]
CLASSIFICATION_SCORING = "sigma_bench.protocols.classification_scores"


def train_and_test(names: Collection[str]) -> tuple[SplitUse, ...]:
    """The splits train and test; ValueError where the dataset does not have both."""
    if not {"train", "test"} <= set(names):
        raise ValueError("the protocol needs train and test")
    return SplitUse("train"), SplitUse("test")


def train_and_test_or_folds(names: Collection[str], folds: Folds, per_class: int | None) -> tuple[SplitUse, ...]:
    """The splits of a protocol that trains on one split and tests on another, or on folds of one.

    Args:
        per_class: number of training samples of every class; None means all.

    Raises:
        ValueError: the dataset has other splits, or ``per_class`` is given with folds.
    """
    if folds == "leave_one_group_out":
        if "all" not in names:
            raise ValueError("leave_one_group_out needs one split 'all'")
        if per_class is not None:
            raise ValueError("train_per_class needs a train split, not folds")
        return (SplitUse("all"),)
    if not {"train", "test"} <= set(names):
        raise ValueError(
            "the protocol needs train and test; use knn_loo@1, or --folds leave_one_group_out where there is one split "
            "'all'"
        )
    return SplitUse("train", per_class), SplitUse("test")


class ClassificationProtocol(ReadFailures):
    """Fits a classifier on features of the train split and scores it on the test split."""

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    reads_tokens: ClassVar[bool] = False
    """Whether the classifier reads every token, or their mean."""
    clip: ClipSpec
    train_per_class: Count | None = None
    """Number of training samples of every class, drawn as ``data/subsets.py`` describes; all where absent."""
    test_condition: Condition | None = None
    """Condition of the test clips alone, which replaces the condition of ``clip``."""
    metrics: tuple[Accuracy, ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or one split with folds."""
        return train_and_test_or_folds(names, folds, self.train_per_class)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One over the training clips and one over the test clips; one for both where they are the same."""
        train, test = (
            Pass(split.name, clip, tokens=self.reads_tokens)
            for split, clip in ((splits[0], self.clip), (splits[-1], self.test_clip))
        )
        return (train,) if train == test else (train, test)

    @property
    def test_clip(self) -> ClipSpec:
        """How the test samples become clips."""
        return self.clip.model_copy(update={"condition": self.test_condition}) if self.test_condition else self.clip


class NeighbourVotes(ReadFailures):
    """Cosine-weighted votes of the nearest neighbours among mean-pooled features (Wu et al., arXiv 1805.01978)."""

    neighbours: Count
    temperature: Positive
    """A neighbour of cosine s votes with weight exp(s / temperature)."""


class HeadGridProtocol(ClassificationProtocol):
    """Heads for every learning rate and weight decay, trained in one pass over the features; one is chosen.

    The best top-1 on a held-out part of train wins (on a tie the one that decays most, then the slowest), and is
    trained again on all of train.  The learning rate of every step follows half a cosine, from the given value to 0.
    """

    learning_rates: tuple[Positive, ...]
    """At the start; rising order.  They do not depend on the batch size."""
    weight_decays: tuple[Positive, ...]
    """Falling order; biases do not decay."""
    held_out_fraction: Fraction
    """Share of train groups (of samples where groups are the samples) that chooses; then all of train is refitted."""
    batch_size: Count
    epochs: Count
    least_steps: Count
    """Least number of steps: a small train set is repeated more often than ``epochs`` says."""
