"""propagation: the masks of a first frame carried through a sequence."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import FrozenProtocol, scored_split
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.recipe import Count, Positive

DavisMetric = Literal["jf_mean", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay"]


class PropagationProtocol(FrozenProtocol):
    """Semi-supervised video object segmentation by label propagation (DINO, arXiv 2104.14294, section 4.2.2).

    Each frame is encoded separately, repeated to the shortest clip that the encoder takes, and the first time slot is
    used, so every encoder gives one map per frame.  By the official rules of the semi-supervised track, the first and
    the last frame are not scored, and void (255) is background.
    """

    sample_labels: ClassVar[SampleLabels] = "masks"
    scoring: ClassVar[str] = "sigma_bench.protocols.propagation.scores"
    kind: Literal["propagation"]
    short_side: Count | Literal["encoder", "twice_encoder"]
    """Short side of the encoded frames, pixels; ``encoder``: that of the encoder's clips; ``twice_encoder``: its
    double."""
    aspect: Literal["squash", "keep"]
    """``squash``: a square; ``keep``: the long side follows, floored to a multiple of ``long_side_multiple_px``."""
    long_side_multiple_px: Count
    context_frames: Count
    """Number of frames before the current one that are compared with it, besides the first frame."""
    radius_patches: Count
    """Greatest distance in rows and columns between a patch and the context patches that it is compared with."""
    top_k: Count
    """Number of most similar context patches that are used, over all context frames together."""
    temperature: Positive
    """Temperature of the weight exp(cosine / temperature) of a context patch."""
    metrics: tuple[DavisMetric, ...]

    @property
    def unused_keys(self) -> tuple[str, ...]:
        return ("long_side_multiple_px",) if self.aspect == "squash" else ()

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The scored split, test or 'all'; nothing is trained."""
        return scored_split("propagation", names)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One pass over every frame of the scored split."""
        return (Pass(splits[0].name, None, clips_per_sample=None, precision=self.encoder_precision),)
