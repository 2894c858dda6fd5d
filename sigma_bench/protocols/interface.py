"""What a protocol receives and what it returns.

The package of a protocol has a module ``run`` with a function ``run(evaluation) -> Predictions | None``.  All processes
call it.  The main process returns the predictions; the others return None once only the main process has work left,
such as fitting a head on features.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.records.record import Selection
from sigma_bench.specs.passes import Pass
from sigma_bench.specs.protocol import BaseProtocol
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import Processes

SHOWN_WAITING = 0.05
"""Least share of the time spent waiting for decoding that progress reports show."""
P = TypeVar("P", bound=BaseProtocol)
Report = Callable[[str, int, int], None]
"""Progress report: name of the phase, number of units done, number of all units."""


def silent(phase: str, done: int, total: int) -> None:
    """Progress report that is not shown."""


@dataclass(frozen=True)
class Evaluation(Generic[P]):
    """One resolved task with an encoder, as the protocol receives it."""

    encoder: Encoder
    task: ResolvedTask
    """The task with its card and all keys of its protocol."""
    protocol: P
    """The protocol of ``task``."""
    manifest: Manifest
    splits: tuple[Split, ...]
    """Splits with the samples that the protocol uses; the scored split is the last one."""
    passes: tuple[Pass, ...]
    """Result of ``protocol.passes``."""
    seed: int
    """Seed of everything that the protocol draws at random."""
    cache: FeatureCache
    processes: Processes
    """The processes that share the computation of features; ``is_main`` is true on the one that continues."""
    folder: Path
    """Folder with the state from which an interrupted evaluation continues; it is removed once the record is stored."""
    kept_tokens: frozenset[str] = frozenset()
    """Keys of cache entries whose tokens are needed by another evaluation of the same plan."""
    report: Report = silent

    @property
    def num_classes(self) -> int:
        """Number of classes of the dataset; 0 if labels are masks."""
        return len(self.manifest.classes or ())

    def split(self, pass_: Pass) -> Split:
        """The split of a pass."""
        return split_of(pass_, self.splits)

    def features(self, pass_: Pass) -> SplitFeatures:
        """Features of a pass, from the cache or computed by the encoder; all processes call this and share the work.

        Raises:
            ValueError: the encoder violates its contract, or the cache has no room.
        """

        def report(done: int, total: int, waiting: float) -> None:
            waits = f", {waiting:.0%} of the time waiting for decoding" if waiting >= SHOWN_WAITING else ""
            self.report(f"features of {pass_.split}{waits}", done, total)

        return self.cache.features(
            self.encoder,
            self.split(pass_),
            pass_,
            self.processes,
            kept_tokens=self.kept_tokens,
            report=report,
        )


class HeadSizes(NamedTuple):
    """What the time of training and scoring a head on features depends on.

    The module ``run`` of a protocol may define ``head_seconds(protocol, sizes)``, which predicts this time from a short
    measurement, and returns None if it cannot.
    """

    num_train: int
    num_test: int
    num_classes: int
    feature_width: int
    device: torch.device
    token_grid: tuple[int, int, int] = (1, 1, 1)
    """Time slots, rows and columns of the tokens of a clip."""
    num_frames: int = 1
    """Number of frames of a clip."""
    image_size: int = 1

    @property
    def num_tokens(self) -> int:
        """Number of tokens of a clip."""
        return math.prod(self.token_grid)

    def now(self) -> float:
        """Time in seconds at which all work given to the device so far is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class Predictions:
    """Result of a protocol, from which scores and a record are made."""

    arrays: Mapping[str, np.ndarray]
    """Arrays from which scores are computed: always ``ids`` and ``groups``, and those that the scoring module of the
    protocol documents."""
    num_scored: int
    """Number of samples of the scored split that have a prediction or count as wrong."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Sample id -> why it could not be read."""
    selections: tuple[Selection, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    """Scores that need no model, such as chance."""


def split_of(pass_: Pass, splits: Sequence[Split]) -> Split:
    """The split of a pass."""
    return next(split for split in splits if split.name == pass_.split)


def require_readable(failures: Mapping[str, str], protocol: BaseProtocol, noun: str = "samples") -> None:
    """Raise ValueError if there are decoding failures and the protocol does not count them as wrong.

    Args:
        failures: sample id -> reason.
        noun: what the message counts.
    """
    if failures and not protocol.counts_failures_as_wrong:
        first, reason = next(iter(failures.items()))
        raise ValueError(
            f"{len(failures)} {noun} cannot be decoded and on_decode_failure of {protocol.protocol} is 'fail'; "
            f"first '{first}': {reason}"
        )


@contextmanager
def every_sequence_counts(task: ResolvedTask) -> Iterator[None]:
    """Raise a decoding failure of this block as a ValueError that names the task: no sequence may be left out."""
    try:
        yield
    except DecodeError as error:
        raise ValueError(
            f"task '{task.task}': a sequence cannot be read, and the protocol scores every sequence: {error}"
        ) from error
