"""Parts of a dataset for smoke runs: a fixed draw from each split in which every class stays represented."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from sigma_bench.data.manifest import Manifest, Sample, Split
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.limit import limited_number

LEAST_PER_CLASS: Final = 2
"""Samples of each class that are always kept: held-out parts, folds and intervals need two."""
_SEED: Final = 20


def limited(manifest: Manifest, limit: int | float, least: Mapping[SplitName, int]) -> Manifest:
    """The manifest with a part of the samples of each used split; unchanged if no split is longer than its part.

    Args:
        limit: number of samples of each split, or their fraction.  A split keeps more if its classes need it, see
            ``LEAST_PER_CLASS``.
        least: used splits with the numbers of samples below which the protocol cannot run.
    """
    splits = {
        name: _limited(split, max(least[name], limited_number(limit, len(split.samples)))) if name in least else split
        for name, split in manifest.splits.items()
    }
    if all(len(split.samples) == len(manifest.splits[name].samples) for name, split in splits.items()):
        return manifest
    return replace(manifest, splits=splits, limit=limit)


def _limited(split: Split, number: int) -> Split:
    drawn = draw_limited(split.samples, number)
    return split if len(drawn) == len(split.samples) else replace(split, samples=drawn, expected=len(drawn))


def draw_limited(samples: tuple[Sample, ...], number: int) -> tuple[Sample, ...]:
    """At least ``number`` samples in their order, as many of each class as possible, from as many groups as possible.

    The draw depends on the samples and ``number`` only, and a larger draw contains every smaller one.  Samples without
    a class are drawn as if they had the same class.
    """
    rng = np.random.default_rng(_SEED)
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        rows_of[-1 if sample.label is None else sample.label].append(row)
    order: list[tuple[int, int, int]] = []
    for turn, label in enumerate(rng.permutation(sorted(rows_of))):
        rows = _groups_in_turn(samples, rng.permutation(rows_of[int(label)]).tolist())
        order += [(place, turn, row) for place, row in enumerate(rows)]
    least = sum(place < LEAST_PER_CLASS for place, _, _ in order)
    chosen = sorted(row for _, _, row in sorted(order)[: max(number, least)])
    return tuple(samples[row] for row in chosen)


def _groups_in_turn(samples: tuple[Sample, ...], rows: list[int]) -> list[int]:
    """The rows, one of every group before the second of any group."""
    seen: Counter[str] = Counter()
    ranked = []
    for row in rows:
        ranked.append((seen[samples[row].group], row))
        seen[samples[row].group] += 1
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]
