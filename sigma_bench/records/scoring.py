"""Scores from stored predictions: a pure function of the arrays beside a record, so that anybody can do it again.

A protocol stores what it predicted under fixed names; a metric reads those it needs and nothing else::

    ids_S, groups_S               always: what was scored, and what is resampled together
    truth_S, predicted_S          classification; ``ranked_SK`` the best classes in order, the first is ``predicted``
    miou_S                        segmentation, one number per clip; where all clips share one matching instead:
    hit_SG, true_SG, claimed_SG   pixels of each label in common with its clusters, true, and claimed by them;
                                  ``repetition_S`` the draw of frames that a clip belongs to
    j_mean_S, j_recall_S, ...     propagation, the statistics of one object each

Shapes: S samples (or clips, or objects), K best classes, G labels.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.accuracy import mean_class_accuracy, top1, topk
from sigma_bench.metrics.segmentation import LabelCounts, mean_iou
from sigma_bench.metrics.uncertainty import SampleIndex, bootstrap_interval
from sigma_bench.records.record import Interval, Score
from sigma_bench.specs.base_protocol import BaseProtocol

Arrays = Mapping[str, NDArray[Any]]


class Metric(NamedTuple):
    """How a number is computed from stored arrays, on the samples with these indices."""

    statistic: Callable[[Arrays, SampleIndex], float]
    higher_is_better: bool = True
    repetitions: Callable[[Arrays, SampleIndex], NDArray[np.float64]] | None = None
    """The same number of every repetition, where ``statistic`` is their mean."""


def mean_of(name: str, *, higher_is_better: bool = True) -> Metric:
    """The mean over rows of what is stored under a name."""
    return Metric(lambda stored, index: float(stored[name][index].mean()), higher_is_better)


def _miou_of_draws(stored: Arrays, index: SampleIndex) -> NDArray[np.float64]:
    draw_S = stored["repetition"][index] if "repetition" in stored else np.zeros(len(index), int)
    return np.array([_miou_of_clips(stored, index[draw_S == draw]) for draw in np.unique(draw_S)])


def _miou_of_clips(stored: Arrays, index: SampleIndex) -> float:
    if "miou" in stored:
        return float(stored["miou"][index].mean())
    return mean_iou(LabelCounts(*(stored[name][index] for name in ("hit", "true", "claimed"))))


METRICS: dict[str, Metric] = {
    "top1": Metric(lambda stored, index: top1(stored["truth"][index], stored["predicted"][index])),
    "top5": Metric(lambda stored, index: topk(stored["truth"][index], stored["ranked"][index], 5)),
    "mean_class_accuracy": Metric(
        lambda stored, index: mean_class_accuracy(stored["truth"][index], stored["predicted"][index])
    ),
    "miou": Metric(lambda stored, index: float(_miou_of_draws(stored, index).mean()), repetitions=_miou_of_draws),
    "jf_mean": Metric(lambda stored, index: float((stored["j_mean"][index] + stored["f_mean"][index]).mean() / 2)),
    "j_mean": mean_of("j_mean"),
    "j_recall": mean_of("j_recall"),
    "j_decay": mean_of("j_decay", higher_is_better=False),
    "f_mean": mean_of("f_mean"),
    "f_recall": mean_of("f_recall"),
    "f_decay": mean_of("f_decay", higher_is_better=False),
}


def score_all(protocol: BaseProtocol, stored: Arrays, seed: int) -> tuple[Score, ...]:
    """Every metric of a protocol on its stored predictions, each with its interval."""
    return tuple(score(name, protocol, stored, seed) for name in protocol.metrics)


def score(name: str, protocol: BaseProtocol, stored: Arrays, seed: int) -> Score:
    """One metric on all samples, with its bootstrap interval over the units the protocol names."""
    metric, uncertainty = METRICS[name], protocol.uncertainty
    everything = np.arange(len(stored["groups"]))
    low, high, num_units = bootstrap_interval(
        lambda index: metric.statistic(stored, index),
        stored["groups"] if uncertainty.unit == "group" else everything,
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        rng=np.random.default_rng([seed, zlib.crc32(name.encode())]),
    )
    interval = Interval(
        method=uncertainty.method,
        unit=uncertainty.unit,
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        num_units=num_units,
        low=low,
        high=high,
    )
    value = metric.statistic(stored, everything)
    spread = None
    if metric.repetitions is not None and len(values := metric.repetitions(stored, everything)) > 1:
        spread = float(values.std(ddof=1))
    return Score(
        metric=name,
        value=value,
        unit="fraction",
        higher_is_better=metric.higher_is_better,
        interval=interval,
        spread=spread,
    )
