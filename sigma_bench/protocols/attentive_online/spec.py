"""attentive_online: a grid of attentive probes trained on augmented clips, with the frozen encoder in the loop."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.clip import SegmentWindows
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import (
    CLASSIFICATION_SCORING,
    Accuracy,
    AccuracyOnTest,
    train_test_splits_or_folds,
)
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.recipe import Count, Depth, Fraction, NonNegative, Positive
from sigma_bench.specs.strict import Spec
from sigma_bench.specs.training_protocol import SupervisedOptim, TrainingProtocol, require_named


class ProbeOptim(Spec):
    """AdamW for every pair of a learning rate and a weight decay; rates follow half a cosine to 0 per step."""

    global_batch: Count
    """Number of videos per step over all processes."""
    epochs: Count
    learning_rates: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Initial learning rates; they are not scaled by the batch size."""
    weight_decays: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """Weight decays; they apply to all parameters of a probe."""
    betas: tuple[Fraction, Fraction]
    precision: Literal["float32", "bfloat16"]
    """Precision of encoder and probes, in training and test."""

    @property
    def schedule(self) -> SupervisedOptim:
        """The optimisation as the training loop reads it; its rate is a factor on the rates of the probes."""
        return SupervisedOptim(
            global_batch=self.global_batch,
            epochs=self.epochs,
            warmup_epochs=0.0,
            lr_per_256=256 / self.global_batch,
            final_lr_per_256=0.0,
            layer_decay=1.0,
            betas=self.betas,
            weight_decay=0.0,
            precision=self.precision,
        )


class AttentiveOnlineProtocol(TrainingProtocol):
    """All probes of the grid are trained on the same tokens; one of them is chosen and reported as it is.

    Among equal probes, the one with the weight decay that stands first is chosen, then the one with the learning rate
    that stands first.  The windows of a video are read together: a probe sees the tokens of all of them at once.
    """

    uses_folds: ClassVar[bool] = True
    sample_labels: ClassVar[SampleLabels] = "class"
    scoring: ClassVar[str] = CLASSIFICATION_SCORING
    kind: Literal["attentive_online"]
    depth: Depth
    """Number of blocks of a probe; the last one is the cross-attention block."""
    attention_heads: Count
    """Most attention heads; the largest divisor of the feature width up to this number is used and recorded."""
    mlp_ratio: Positive
    optim: ProbeOptim
    held_out_fraction: Fraction | None
    """Share of the groups of train that no probe is trained on and one is chosen by.  null: the probes are trained on
    all of train, and one is chosen by the test split."""
    metrics: tuple[Accuracy | AccuracyOnTest, ...]
    train_per_class: Count | None = None
    """Number of training samples of every class, drawn as ``data/official_lists.py`` describes; all if absent."""

    @property
    def windows(self) -> SegmentWindows:
        """The windows of a video, in training and test."""
        assert isinstance(self.views.sampling, SegmentWindows)  # _is_consistent
        return self.views.sampling

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test, or one split with folds."""
        return train_test_splits_or_folds(names, folds, self.train_per_class)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One training pass over the first split, then one test pass over the last.

        The encoder has no backward pass, but the probes of a large grid cost more than one.
        """
        clips = self.optim.epochs * self.windows.num_segments
        return (
            Pass(splits[0].name, None, network="training", clips_per_sample=clips, sparse=True),
            Pass(splits[-1].name, self.views, network="trained", clips_per_sample=self.views.num_views),
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not isinstance(self.views.sampling, SegmentWindows):
            raise ValueError(
                f"views.sampling.sampler is {self.views.sampling.sampler}, but {self.kind} reads segment_windows"
            )
        if self.augmentation.repeats != 1:
            raise ValueError(f"augmentation.repeats is {self.augmentation.repeats}; {self.kind} draws one clip (1)")
        require_named(self, selects_on_test=self.held_out_fraction is None, key="held_out_fraction: null")
        return self
