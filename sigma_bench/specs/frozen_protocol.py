"""Common parts of protocols: their splits, and the keys of classifiers on features of a frozen encoder."""

from collections.abc import Collection
from typing import ClassVar, Literal

from pydantic import field_validator

from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.condition import Condition
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds, is_cross_validation, ways_to_divide
from sigma_bench.specs.passes import Pass, Precision, SampleLabels, SplitUse
from sigma_bench.specs.protocol import BaseProtocol, CountsFailures
from sigma_bench.specs.recipe import Count, Fraction, Positive

Accuracy = Literal["top1", "top5", "mean_class_accuracy"]
AccuracyOnTest = Literal["top1_selected_on_test", "mean_class_accuracy_selected_on_test"]
"""Metrics of protocols that select on the scored samples."""
CLASSIFICATION_SCORING = "sigma_bench.protocols.classification_scores"


def scored_split(kind: str, names: Collection[str]) -> tuple[SplitUse, ...]:
    """The one split of a protocol that trains nothing: test, or 'all' if there is no test split.

    Raises:
        ValueError: the dataset has neither.
    """
    choices: tuple[SplitName, ...] = ("test", "all")
    for name in choices:
        if name in names:
            return (SplitUse(name),)
    raise ValueError(f"{kind} scores the split {' or '.join(choices)}")


def train_test_splits(names: Collection[str], ways: str = "--folds random:0.2") -> tuple[SplitUse, ...]:
    """The splits train and test.

    Args:
        ways: how the split 'all' can be divided for the protocol, for the error message.

    Raises:
        ValueError: the dataset does not have both.
    """
    if not {"train", "test"} <= set(names):
        divide = f"; divide the one split 'all' by {ways}" if "all" in names else ""
        raise ValueError(f"the protocol needs train and test{divide}")
    return SplitUse("train"), SplitUse("test")


def train_test_splits_or_folds(names: Collection[str], folds: Folds, per_class: int | None) -> tuple[SplitUse, ...]:
    """The splits train and test, or the split 'all' if it is divided into folds.

    Args:
        per_class: number of training samples of every class; None means all.

    Raises:
        ValueError: the dataset does not have these splits, or ``per_class`` is given with folds.
    """
    if is_cross_validation(folds):
        if per_class is not None:
            raise ValueError("train_per_class needs a train split, not folds")
        return (SplitUse("all"),)
    train, test = train_test_splits(names, ways_to_divide())
    return SplitUse(train.name, per_class), test


class FrozenProtocol(BaseProtocol):
    """A protocol that reads features of a frozen encoder."""

    precision: Precision | None = None
    """Precision in which the encoder computes features; float32 if absent."""

    @field_validator("precision")
    @classmethod
    def _without_default(cls, precision: Precision | None) -> Precision | None:
        """The default is stored as absent, so that one number has one fingerprint."""
        return None if precision == "float32" else precision

    @property
    def encoder_precision(self) -> Precision:
        """The precision, with its default."""
        return self.precision or "float32"


class ClassificationProtocol(FrozenProtocol, CountsFailures):
    """Fits a classifier on features of the train split and scores it on the test split."""

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    reads_tokens: ClassVar[bool] = False
    """Whether the classifier reads all tokens; otherwise it reads their mean."""
    clip: ClipSpec
    train_per_class: Count | None = None
    """Number of training samples of every class, drawn as ``data/official_lists.py`` describes; all if absent."""
    test_condition: Condition | None = None
    """Condition of the test clips, in place of the condition of ``clip``, which remains that of the training clips."""
    metrics: tuple[Accuracy, ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or one split with folds."""
        return train_test_splits_or_folds(names, folds, self.train_per_class)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass over the training clips and one over the test clips; a single pass if these are the same."""
        train, test = (
            Pass(split.name, clip, tokens=self.reads_tokens, precision=self.encoder_precision)
            for split, clip in ((splits[0], self.clip), (splits[-1], self.test_clip))
        )
        return (train,) if train == test else (train, test)

    @property
    def test_clip(self) -> ClipSpec:
        """How test clips are drawn: ``clip`` under the condition of the test."""
        return self.clip.model_copy(update={"condition": self.test_condition}) if self.test_condition else self.clip


class NeighbourVotes(CountsFailures):
    """Cosine-weighted votes of the nearest neighbours among mean-pooled features (Wu et al., arXiv 1805.01978)."""

    neighbours: Count
    temperature: Positive
    """A neighbour of cosine s votes with weight exp(s / temperature)."""

    def least_samples(self, split: str, num_classes: int) -> int:
        """The neighbours of a query, and twice as many if the samples of its own group have no vote."""
        return {"train": 1, "all": 2}.get(split, 0) * self.neighbours


class HeadGridProtocol(ClassificationProtocol):
    """One head for each learning rate and weight decay, trained on the same batches; one head is chosen.

    The head with the best top-1 on a held-out part of train is chosen; among equals, the one with the largest weight
    decay, then the one with the smallest learning rate.  Its setting is trained again on all of train.  Learning rates
    follow half a cosine from the given value to 0.
    """

    learning_rates: tuple[Positive, ...]
    """Initial learning rates in rising order; they are not scaled by the batch size."""
    weight_decays: tuple[Positive, ...]
    """Weight decays in falling order; they do not apply to biases."""
    held_out_fraction: Fraction
    """Share of the groups of train on which a head is chosen."""
    batch_size: Count
    epochs: Count
    least_steps: Count
    """Least number of steps; a small train set is repeated more than ``epochs`` times to reach it."""
