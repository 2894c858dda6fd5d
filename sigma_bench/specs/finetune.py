"""Fine-tuning a whole network for classification, and the same with the network frozen."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.frozen import Accuracy
from sigma_bench.specs.recipe import Count
from sigma_bench.specs.supervised import SupervisedProtocol


class FinetuneProtocol(SupervisedProtocol):
    """``finetune``: everything is trained; ``linear_online``: only the new norm and head, the rest is as released."""

    kind: Literal["finetune", "linear_online"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    view_score: Literal["softmax"]
    view_pooling: Literal["mean"]
    metrics: tuple[Accuracy, ...]
    train_per_class: Count | None = None
    """Samples of every class that teach, drawn as ``data/subsets.py`` says; all where absent."""
