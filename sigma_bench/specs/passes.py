"""What a protocol uses, stated before anything is computed: the splits of a dataset and the passes over a network.

Plans, estimates of cost, cache keys and the choice of what is kept in the cache are derived from these statements.
"""

from dataclasses import dataclass
from typing import Literal

from sigma_bench.specs.clip import ClipSpec, SequenceClip
from sigma_bench.specs.dataset import SplitName

Network = Literal["frozen", "training", "trained"]
"""``frozen``: the encoder as it was loaded; ``training``: forward and backward; ``trained``: the encoder after that."""
SampleLabels = Literal["class", "actions", "cycles", "masks", "any"]
"""What every sample has: one class, actions in time, the bounds of repetitions, masks, or any of these or nothing."""


@dataclass(frozen=True)
class SplitUse:
    """One split that a protocol uses."""

    name: SplitName
    per_class: int | None = None
    """Number of samples of every class that are used, drawn as ``data/subsets.py`` describes; None means all."""


@dataclass(frozen=True)
class Pass:
    """One pass of a network over a split.

    Passes of a frozen encoder over the same clips of the same samples are computed once and shared through the cache.
    """

    split: SplitName
    clip: ClipSpec | SequenceClip | None
    """How a sample becomes clips; None where the protocol prepares its own inputs, whose features are not cached."""
    tokens: bool = False
    """Whether every token is needed, or only the mean over tokens and clips."""
    network: Network = "frozen"
    clips_per_sample: int | None = None
    """Number of clips of one sample.  None means the views of the clip or, without a clip, one clip per frame."""

    @property
    def is_cached(self) -> bool:
        """Whether the features of this pass are kept in the cache."""
        return self.network == "frozen" and self.clip is not None

    def num_clips(self, sample_frames: int) -> int:
        """Clips of a sample of so many frames."""
        if self.clips_per_sample is not None:
            return self.clips_per_sample
        return self.clip.num_views if self.clip is not None else sample_frames
