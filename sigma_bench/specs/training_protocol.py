"""Keys of all protocols that train on labels: clips, augmentation, optimisation, views of the test.

Paper recipes: SIGMA's fine-tuning, which is VideoMAE's (arXiv 2203.12602, table 9).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sigma_bench.specs.clip import ClipSpec, TrainingSampling
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, SplitUse
from sigma_bench.specs.protocol import BaseProtocol, CountsFailures
from sigma_bench.specs.recipe import Count, Fraction, NonNegative, Positive
from sigma_bench.specs.strict import Spec

SELECTED = "_selected_on_test"
"""Suffix of protocols and metrics whose value was selected on the scored samples."""
Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class SupervisedOptim(Spec):
    """AdamW with a linear warm-up from 0, then half a cosine, per step; rates are for a global batch of 256 videos."""

    global_batch: Count
    """Number of videos per step over all processes, without repeats."""
    epochs: Count
    warmup_epochs: NonNegative
    lr_per_256: Positive
    final_lr_per_256: NonNegative
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    """Ratio of the learning rate of a layer to that of the next layer; the head has the full rate."""
    betas: tuple[Fraction, Fraction]
    weight_decay: NonNegative
    """Weight decay of matrices; it does not apply to vectors, biases, learned positions and class tokens."""
    precision: Literal["float32", "bfloat16"]
    """Precision of training and test."""

    def num_steps(self, steps_per_epoch: int) -> int:
        """Number of optimiser steps of the run."""
        return self.epochs * steps_per_epoch


class AreaCrop(Spec):
    """A box of random area and of aspect 3/4 to 4/3, resized to the encoder's square (Inception)."""

    crop: Literal["random_area"]
    area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]]
    """Least and greatest share of the frame that the box covers."""


class ShortSideCrop(Spec):
    """The short side is resized to a random length; then a random square of the encoder's size is cut (SlowFast)."""

    crop: Literal["random_short_side"]
    scale: tuple[Annotated[float, Field(ge=1)], Annotated[float, Field(ge=1)]]
    """Least and greatest ratio of the length to the encoder's size; its inverse is uniformly distributed."""


class Augmentation(Spec):
    """Augmentation of a training clip, equal for all its frames: RandAugment, crop, flip, erasing, in this order."""

    rand_augment: str | None
    """Specification in the notation of timm, such as ``rand-m7-n4-mstd0.5-inc1``."""
    cut: Annotated[AreaCrop | ShortSideCrop, Field(discriminator="crop")]
    flip_probability: Share
    erasing_probability: Share
    """Probability that one box is filled with noise (timm's pixel mode)."""
    repeats: Count
    """Number of augmented clips of the same frames of a video in a step (repeated augmentation)."""


class Mixing(Spec):
    """Mixup (arXiv 1710.09412) or CutMix (arXiv 1905.04899) of every clip with its neighbour in the batch.

    Neighbours are the positions 2k and 2k + 1 of the global batch, and the share is drawn for each pair, so that the
    result does not depend on the number of processes.  The release mixes the batch of each GPU with its reverse, with
    one share.
    """

    mixup_alpha: Positive
    cutmix_alpha: Positive
    cutmix_probability: Share
    """Probability that a pair is combined by CutMix; otherwise it is combined by Mixup."""


class TrainingProtocol(CountsFailures):
    """A protocol that trains on augmented clips of the train split and scores several clips of a test video."""

    run_options: ClassVar[frozenset[str]] = frozenset({"loader", "clips_at_once", "checkpoint_every_steps"})
    augmentation: Augmentation
    views: ClipSpec
    """Clips of a test video, whose scores are pooled."""
    loader: Literal["memory", "stream"]
    """``memory``: videos are decoded once and kept; ``stream``: workers decode a video whenever a clip is drawn."""
    clips_at_once: Count
    """Greatest number of clips that a process computes together; larger batches are divided into micro-batches."""
    max_broken_share: Rate
    """Greatest share of the listed videos that training leaves out because they are missing or do not decode."""
    checkpoint_every_steps: Count


class SupervisedProtocol(TrainingProtocol):
    """A protocol that trains a network with a new head on the train split and reports the last epoch."""

    sampling: TrainingSampling
    mixing: Mixing | None
    head_init_scale: Positive
    """Factor on the initial weights of the head: normal with standard deviation 0.02, truncated at -2 and 2."""
    drop_path: Rate
    """Rate at the last block; it grows linearly from 0."""
    ema_decay: Rate | None
    """Decay of the moving average of the weights, which is tested instead of the weights; none if absent."""
    optim: SupervisedOptim

    @property
    def pools_by_maximum(self) -> bool:
        """Whether the score of a video is the maximum over its views; otherwise it is their mean."""
        return False

    @property
    def trained_network(self) -> Literal["training", "probing"]:
        """Whether the whole network is trained, or only the head."""
        return "training"

    @property
    def earlier_tests(self) -> tuple[int, ...]:
        """Epochs before the last one that are tested."""
        return ()

    def least_samples(self, split: str, num_classes: int) -> int:
        """One batch of the train split, or two of a split that is divided into folds."""
        return {"train": 1, "all": 2}.get(split, 0) * self.optim.global_batch

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One training pass over the first split, then one test pass over the last."""
        examples = self.optim.epochs * self.augmentation.repeats
        tests = 1 + len(self.earlier_tests)
        return (
            Pass(splits[0].name, None, network=self.trained_network, clips_per_sample=examples, sparse=True),
            Pass(splits[-1].name, self.views, network="trained", clips_per_sample=self.views.num_views * tests),
        )


def require_named(protocol: BaseProtocol, *, selects_on_test: bool, key: str) -> None:
    """ValueError unless protocol and metrics have the suffix ``SELECTED`` if, and only if, the test split selects.

    Args:
        key: the setting by which a protocol selects on the test split, for the message.
    """
    names = (protocol.protocol.partition("@")[0], *protocol.metrics)
    if any(name.endswith(SELECTED) != selects_on_test for name in names):
        raise ValueError(
            f"with {key}, and only with it, protocol and metrics are called '...{SELECTED}', not {', '.join(names)}"
        )
