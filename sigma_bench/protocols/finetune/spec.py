"""Fine-tuning a whole network for classification, and the same with the network frozen."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.frozen import CLASSIFICATION_SCORING, Accuracy, train_and_test_or_folds
from sigma_bench.specs.passes import SampleLabels, SplitUse
from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import Spec
from sigma_bench.specs.supervised import SupervisedProtocol

SELECTED = "_selected_on_test"
"""Ends the name of a metric whose value was selected on the very samples it is about."""


class SelectOnTest(Spec):
    """The test is done after many epochs, and the epoch with the best top-1 is reported (on a tie the earliest).

    This is not a clean number; it exists for comparison with results that were measured that way.
    """

    every_epochs: Count
    """And after the last."""


class FinetuneProtocol(SupervisedProtocol):
    """``finetune``: everything is trained; ``linear_online``: only the new norm and head."""

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    kind: Literal["finetune", "linear_online"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    metrics: tuple[Accuracy | Literal["top1_selected_on_test", "mean_class_accuracy_selected_on_test"], ...]
    train_per_class: Count | None = None
    """Number of training samples of every class, drawn as ``data/subsets.py`` describes; all where absent."""
    select_on_test: SelectOnTest | None = None
    """The last epoch is reported where absent."""

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or one split with folds."""
        return train_and_test_or_folds(names, folds, self.train_per_class)

    @property
    def earlier_tests(self) -> tuple[int, ...]:
        """Multiples of ``every_epochs`` before the last epoch."""
        chosen = self.select_on_test
        return () if chosen is None else tuple(range(chosen.every_epochs, self.optim.epochs, chosen.every_epochs))

    @model_validator(mode="after")
    def _selected_is_said(self) -> Self:
        names = (self.protocol.partition("@")[0], *self.metrics)
        if any(name.endswith(SELECTED) != (self.select_on_test is not None) for name in names):
            raise ValueError(
                f"with select_on_test, and only with it, protocol and metrics are called '...{SELECTED}', "
                f"not {', '.join(names)}"
            )
        return self
