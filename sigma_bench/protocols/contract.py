"""What a protocol receives and what it returns.

The package of a protocol has a module ``run`` with one function, ``run(evaluation) -> Predictions | None``.  Every
process of a run calls it.  Work that only the main process does, such as fitting a head on features that are there,
ends the other processes with None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache, SplitFeatures
from sigma_bench.records.record import Selection
from sigma_bench.specs.passes import Pass
from sigma_bench.specs.protocol import BaseProtocol
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import World

P = TypeVar("P", bound=BaseProtocol)
Report = Callable[[str, int, int], None]
"""Phase, done, total."""


def silent(phase: str, done: int, total: int) -> None:
    """A report that nobody sees."""


@dataclass(frozen=True)
class Evaluation(Generic[P]):
    """One task to be run for one encoder; everything about it is resolved."""

    encoder: Encoder
    task: ResolvedTask
    protocol: P
    """Of the task."""
    manifest: Manifest
    splits: tuple[Split, ...]
    """The samples that the protocol uses, the scored split last."""
    passes: tuple[Pass, ...]
    """As the protocol states them."""
    seed: int
    cache: FeatureCache
    world: World
    folder: Path
    """Folder of this evaluation, from which an interrupted run continues; removed once the record is stored."""
    kept_tokens: frozenset[str] = frozenset()
    """Keys of cache entries whose tokens another evaluation of the same suite reads."""
    report: Report = silent

    @property
    def num_classes(self) -> int:
        """Classes of the dataset; 0 where labels are masks."""
        return len(self.manifest.classes or ())

    def split(self, pass_: Pass) -> Split:
        """The samples of a pass."""
        return next(split for split in self.splits if split.name == pass_.split)

    def features(self, pass_: Pass) -> SplitFeatures:
        """Features of a pass, from the cache or computed by the encoder; all processes share the work.

        Raises:
            ValueError: the encoder does not keep its contract, or the cache has no room.
        """
        phase = f"features of {pass_.split}"
        return self.cache.features(
            self.encoder,
            self.split(pass_),
            pass_,
            self.world,
            kept_tokens=self.kept_tokens,
            report=lambda done, total: self.report(phase, done, total),
        )


@dataclass(frozen=True)
class Predictions:
    """What a protocol found out, before it is scored and becomes a record."""

    arrays: Mapping[str, np.ndarray]
    """What the scores are computed from, under the names that the protocol's scoring module documents; ``ids`` and
    ``groups`` always."""
    num_scored: int
    """Samples of the scored split that have a prediction or count as wrong."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Sample id -> why it could not be read."""
    selections: tuple[Selection, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    """Values of the task itself, such as chance."""


def require_readable(failures: Mapping[str, str], protocol: BaseProtocol) -> None:
    """ValueError when samples could not be read and the protocol does not count them as wrong."""
    if failures and not protocol.counts_failures_as_wrong:
        first, reason = next(iter(failures.items()))
        raise ValueError(
            f"{len(failures)} samples cannot be decoded and {protocol.protocol} says 'fail'; first '{first}': {reason}"
        )
