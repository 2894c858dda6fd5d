"""Scores from stored predictions: a pure function of the arrays beside a record, so that anybody can do it again.

A protocol stores what it predicted under fixed names; a metric reads those it needs and nothing else::

    ids_S, groups_S               always: what was scored, and what is resampled together
    truth_S, predicted_S          classification; ``ranked_SK`` the best classes in order, the first is ``predicted``
    miou_S                        segmentation, one number per clip

Shapes: S samples (or clips, or objects), K best classes.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.accuracy import mean_class_accuracy, top1, topk
from sigma_bench.metrics.uncertainty import Method, SampleIndex, bootstrap_interval
from sigma_bench.records.record import Interval, Score
from sigma_bench.specs.base_protocol import BaseProtocol

Arrays = Mapping[str, NDArray[Any]]


class Metric(NamedTuple):
    """How a number is computed from stored arrays, on the samples with these indices."""

    statistic: Callable[[Arrays, SampleIndex], float]
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {
    "top1": Metric(lambda stored, index: top1(stored["truth"][index], stored["predicted"][index])),
    "top5": Metric(lambda stored, index: topk(stored["truth"][index], stored["ranked"][index], 5)),
    "mean_class_accuracy": Metric(
        lambda stored, index: mean_class_accuracy(stored["truth"][index], stored["predicted"][index])
    ),
    "miou": Metric(lambda stored, index: float(stored["miou"][index].mean())),
}


def statistic_of(name: str, stored: Arrays) -> Callable[[SampleIndex], float]:
    """A metric of these predictions as a function of the samples that count."""
    metric = METRICS[name]
    return lambda index: metric.statistic(stored, index)


def score_all(protocol: BaseProtocol, stored: Arrays, seed: int) -> tuple[Score, ...]:
    """Every metric of a protocol on its stored predictions, each with its interval."""
    return tuple(score(name, protocol, stored, seed) for name in protocol.metrics)


def units_of(protocol: BaseProtocol, stored: Arrays) -> NDArray[Any]:
    """What is resampled together, one name per sample, (S,)."""
    return stored["groups"] if protocol.uncertainty.unit == "group" else np.arange(len(stored["groups"]))


def score(name: str, protocol: BaseProtocol, stored: Arrays, seed: int, method: Method | None = None) -> Score:
    """One metric on all samples, with its bootstrap interval over the units the protocol names.

    ``method`` is the protocol's own; another one computes an interval of an older record again.
    """
    statistic, uncertainty = statistic_of(name, stored), protocol.uncertainty
    method = method or uncertainty.method
    low, high, num_units = bootstrap_interval(
        statistic,
        units_of(protocol, stored),
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        rng=np.random.default_rng([seed, zlib.crc32(name.encode())]),
        method=method,
    )
    interval = Interval(
        method=method,
        unit=uncertainty.unit,
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        num_units=num_units,
        low=low,
        high=high,
    )
    return Score(
        metric=name,
        value=statistic(np.arange(len(stored["groups"]))),
        unit="fraction",
        higher_is_better=METRICS[name].higher_is_better,
        interval=interval,
    )
