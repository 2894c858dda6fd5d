"""Splits of a dataset and passes of a network that a protocol uses, known before anything is computed.

Plans, cost estimates, cache keys and the choice of cached tokens are derived from these declarations.
"""

from dataclasses import dataclass
from typing import Literal

from sigma_bench.specs.clip import ClipSpec, SequenceClip
from sigma_bench.specs.dataset import SplitName

Network = Literal["frozen", "training", "probing", "trained"]
"""``frozen``: the encoder as loaded; ``training``: forward and backward passes; ``probing``: forward passes of the
encoder as loaded, on whose output a head is trained; ``trained``: the network after the training."""
Precision = Literal["float32", "bfloat16"]
"""Precision in which a frozen encoder computes; ``bfloat16`` means autocast, as in mixed-precision training."""
SampleLabels = Literal["class", "actions", "cycles", "masks", "any"]
"""Labels that a sample must have: one class, actions in time, bounds of repetitions, masks; ``any``: none of these."""


@dataclass(frozen=True)
class SplitUse:
    """One split that a protocol uses."""

    name: SplitName
    per_class: int | None = None
    """Number of samples used of every class, drawn as ``data/official_lists.py`` describes; None means all."""


@dataclass(frozen=True)
class Pass:
    """One pass of a network over a split.

    Passes of a frozen encoder over the same clips of the same samples are computed once and shared through the cache.
    """

    split: SplitName
    clip: ClipSpec | SequenceClip | None
    """How clips are drawn from a sample; None if the protocol prepares its inputs itself and nothing is cached."""
    tokens: bool = False
    """Whether every token is needed, or only the mean over tokens and clips."""
    network: Network = "frozen"
    precision: Precision = "float32"
    """Precision of the frozen encoder; of other networks, the protocol states it elsewhere."""
    clips_per_sample: int | None = None
    """Number of clips of one sample; None means one per view of ``clip`` or, without ``clip``, one per frame."""
    num_frames: int | None = None
    """Number of frames of a clip; None means that of the encoder's card."""
    image_size: int | None = None
    """Side of a clip, pixels; None means that of the encoder's card."""
    sparse: bool = False
    """Whether samples are opened as ``is_sparse``, see ``data/media_opening.py``."""

    @property
    def is_training(self) -> bool:
        """Whether the network or a head on it is trained in this pass."""
        return self.network in ("training", "probing")

    @property
    def is_cached(self) -> bool:
        """Whether the features of this pass are kept in the cache."""
        return self.network == "frozen" and self.clip is not None

    def num_clips(self, sample_frames: int) -> int:
        """Number of clips of a sample that has ``sample_frames`` frames."""
        if self.clips_per_sample is not None:
            return self.clips_per_sample
        return self.clip.num_views if self.clip is not None else sample_frames
