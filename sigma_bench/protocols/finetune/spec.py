"""Fine-tuning a whole network for classification, and the same with the network frozen."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import (
    CLASSIFICATION_SCORING,
    Accuracy,
    AccuracyOnTest,
    train_test_splits_or_folds,
)
from sigma_bench.specs.passes import SampleLabels, SplitUse
from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import Spec
from sigma_bench.specs.training_protocol import SupervisedProtocol, require_named


class SelectOnTest(Spec):
    """Testing after several epochs and reporting the one with the best top-1 (the earliest if several are equal).

    The reported number is biased upwards.  It exists for comparison with results that were measured in this way.
    """

    every_epochs: Count
    """Number of epochs between tests; the last epoch is always tested."""


class FinetuneProtocol(SupervisedProtocol):
    """``finetune``: the whole network is trained; ``linear_online``: only the new norm and head."""

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    kind: Literal["finetune", "linear_online"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    metrics: tuple[Accuracy | AccuracyOnTest, ...]
    train_per_class: Count | None = None
    """Number of training samples of every class, drawn as ``data/official_lists.py`` describes; all if absent."""
    select_on_test: SelectOnTest | None = None
    """How the reported epoch is selected; the last epoch if absent."""

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or one split with folds."""
        return train_test_splits_or_folds(names, folds, self.train_per_class)

    @property
    def trained_network(self) -> Literal["training", "probing"]:
        """Only the head for ``linear_online``."""
        return "training" if self.kind == "finetune" else "probing"

    @property
    def earlier_tests(self) -> tuple[int, ...]:
        """Epochs before the last one that are tested: multiples of ``every_epochs``."""
        select = self.select_on_test
        return () if select is None else tuple(range(select.every_epochs, self.optim.epochs, select.every_epochs))

    @model_validator(mode="after")
    def _selection_is_named(self) -> Self:
        require_named(self, selects_on_test=self.select_on_test is not None, key="select_on_test")
        return self
