"""propagation: the masks of a first frame carried through a sequence."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import BaseProtocol
from sigma_bench.specs.recipe import Count, Positive

DavisMetric = Literal["jf_mean", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay"]


class PropagationProtocol(BaseProtocol):
    """Semi-supervised video object segmentation by label propagation (DINO, arXiv 2104.14294, section 4.2.2).

    A frame is encoded by itself, repeated until it fills one tubelet: one map per frame for every encoder.  By the
    official rules of the semi-supervised track, the first and the last frame are not scored, and void (255) is
    background.
    """

    sample_labels: ClassVar[SampleLabels] = "masks"
    scoring: ClassVar[str] = "sigma_bench.protocols.propagation.scores"
    kind: Literal["propagation"]
    short_side: Count | Literal["encoder", "twice_encoder"]
    """Of the frames the encoder sees, pixels; ``encoder``: the size of its clips; ``twice_encoder``: twice that."""
    aspect: Literal["squash", "keep"]
    """``squash``: a square; ``keep``: the long side follows, floored to a multiple of ``long_side_multiple_px``."""
    long_side_multiple_px: Count
    context_frames: Count
    """Frames before the current one whose soft masks are remembered, beside the first frame's."""
    radius_patches: Count
    """A patch looks at context patches at most so many rows and columns away."""
    top_k: Count
    """Most similar context patches that count, over all context frames together."""
    temperature: Positive
    """A context patch of cosine s counts with weight exp(s / temperature)."""
    metrics: tuple[DavisMetric, ...]

    @property
    def unused_keys(self) -> tuple[str, ...]:
        return ("long_side_multiple_px",) if self.aspect == "squash" else ()

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """The scored split alone, since nothing is trained."""
        if "test" not in names:
            raise ValueError("propagation scores the split test")
        return (SplitUse("test"),)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One over every frame of the scored split."""
        return (Pass(splits[0].name, None, clips_per_sample=None),)
