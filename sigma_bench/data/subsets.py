"""The subsets of about a thousand examples on which SEVERE measures efficiency (SEVERE facts 2.4).

They are drawn from the complete official list, so a file that is missing changes nothing but itself.
"""

import math
from collections.abc import Sequence

import numpy as np

from sigma_bench.data.manifest import Sample

SEED = 99999
NUM_REQUESTED = 1000


def draw_subset(samples: Sequence[Sample]) -> list[Sample]:
    """Equally many of every class, ``ceil(1000 / classes)``, in the order drawn: 1,010 of UCF101, 1,089 of Gym99.

    The legacy generator is part of the definition: classes in ascending order draw from one stream.
    """
    label_S = np.array([sample.label for sample in samples])
    classes = np.unique(label_S)
    per_class = math.ceil(NUM_REQUESTED / len(classes))
    rng = np.random.RandomState(SEED)
    chosen: list[int] = []
    for label in classes:
        rows = np.flatnonzero(label_S == label)
        chosen += rows[rng.choice(len(rows), min(per_class, len(rows)), replace=False)].tolist()
    return [samples[index] for index in chosen]
