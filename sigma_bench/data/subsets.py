"""Subsets with equally many samples of every class: SEVERE's subsets of 1000 samples, and other sizes by the same rule.

They are drawn from the complete official list, so a missing file does not change which others are drawn.
"""

import math
from collections.abc import Sequence

import numpy as np

from sigma_bench.data.manifest import Sample

SEED = 99999
NUM_REQUESTED = 1000


def draw_subset(samples: Sequence[Sample], per_class: int | None = None) -> list[Sample]:
    """Equally many of every class, or all where there are fewer, in the order drawn; a larger subset holds the smaller.

    The legacy generator is part of the definition: classes in ascending order draw from one stream.

    Args:
        per_class: SEVERE's ``ceil(1000 / classes)`` by default, which makes 1,010 of UCF101 and 1,089 of Gym99.
    """
    label_S = np.array([sample.label for sample in samples])
    classes = np.unique(label_S)
    per_class = per_class or math.ceil(NUM_REQUESTED / len(classes))
    rng = np.random.RandomState(SEED)
    chosen: list[int] = []
    for label in classes:
        rows = np.flatnonzero(label_S == label)
        chosen += rows[rng.choice(len(rows), min(per_class, len(rows)), replace=False)].tolist()
    return [samples[index] for index in chosen]
