"""Scores from stored predictions: a pure function of the arrays beside a record, so that anybody can do it again.

A protocol stores what it predicted under fixed names; a metric reads those it needs and nothing else::

    ids_S, groups_S               always: what was scored, and what is resampled together
    truth_S, predicted_S          classification; ``ranked_SK`` the best classes in order, the first is ``predicted``;
                                  counting as well, whole numbers of repetitions; ``predicted_of_epoch_SE`` where
                                  the best of E epochs was selected on the test
    truth_SL, score_SL            several labels per sample
    truth_S, cluster_SR           clustering; ``matched_SR`` the class that a sample's cluster is matched to,
                                  ``majority_SR`` the class that fills most of it, ``overcluster_majority_SR`` the
                                  same of a finer clustering
    miou_S                        segmentation, one number per clip; where all clips share one matching instead:
    hit_SG, true_SG, claimed_SG   pixels of each label in common with its clusters, true, and claimed by them;
                                  ``repetition_S`` the draw of frames that a clip belongs to
    j_mean_S, j_recall_S, ...     propagation, the statistics of one object each

Shapes: S samples (or clips, or objects), K best classes, L classes, G labels, R repetitions with other starts.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.accuracy import mean_class_accuracy, top1, topk
from sigma_bench.metrics.average_precision import mean_average_precision, rank
from sigma_bench.metrics.clustering import ari, nmi
from sigma_bench.metrics.counting import are_off_by_one, counting_error, off_by_one, relative_errors
from sigma_bench.metrics.segmentation import LabelCounts, mean_iou
from sigma_bench.metrics.uncertainty import SampleIndex, bootstrap_interval
from sigma_bench.records.record import Interval, Score
from sigma_bench.specs.base_protocol import BaseProtocol

Arrays = Mapping[str, NDArray[Any]]


NOT_COMPUTABLE = (ValueError, LookupError, TypeError, ArithmeticError, MemoryError, AttributeError)
"""Exceptions that a metric raises for arrays of a wrong type, shape or content."""


def require_samples(stored: Arrays) -> None:
    """ValueError unless ``ids`` and ``groups`` name every sample and its group."""
    if absent := {"ids", "groups"} - stored.keys():
        raise ValueError(f"its predictions do not hold {' and '.join(sorted(absent))}")
    if stored["ids"].ndim != 1 or stored["groups"].shape != stored["ids"].shape:
        raise ValueError("its predictions do not say the group of every sample")


class Metric(NamedTuple):
    """How a number is computed from stored arrays, on the samples with these indices."""

    statistic: Callable[[Any, SampleIndex], float]
    higher_is_better: bool = True
    prepare: Callable[[Arrays], Any] = lambda stored: stored
    """What is worked out once, for all resamples; the statistic gets what it gives."""
    of_sample: Callable[[Arrays], NDArray[Any] | None] = lambda stored: None
    """Each sample's own number, (S,), where the metric is the mean of them: comparisons are fast and name samples."""
    of_repetition: Callable[[Arrays], NDArray[np.float64]] | None = None
    """The same number of every repetition, where ``statistic`` is their mean."""


def _of_two(score: Callable[[NDArray[Any], NDArray[Any]], float], **more: Any) -> Metric:
    """A score of true and predicted labels."""
    return Metric(lambda stored, index: score(stored["truth"][index], stored["predicted"][index]), **more)


def _of_columns(name: str, score: Callable[[NDArray[Any], NDArray[Any]], float], **more: Any) -> Metric:
    """The mean of a score of ``truth`` and each column of another array."""

    def values(stored: Arrays, index: SampleIndex) -> NDArray[np.float64]:
        return np.array([score(stored["truth"][index], column_S[index]) for column_S in stored[name].T])

    return Metric(
        lambda stored, index: float(values(stored, index).mean()),
        of_repetition=lambda stored: values(stored, np.arange(len(stored["truth"]))),
        **more,
    )


def _share_of_columns(name: str) -> Metric:
    """The mean of the top-1 accuracies of an array's columns."""
    return _of_columns(name, top1, of_sample=lambda stored: (stored[name] == stored["truth"][:, None]).mean(1))


def _mean_of(of_sample: Callable[[Arrays], NDArray[Any]], *, higher_is_better: bool = True) -> Metric:
    """The mean over rows of each one's own number."""
    return Metric(
        lambda value_S, index: float(value_S[index].mean()),
        higher_is_better=higher_is_better,
        prepare=of_sample,
        of_sample=of_sample,
    )


def _stored(name: str, *, higher_is_better: bool = True) -> Metric:
    return _mean_of(lambda stored: stored[name], higher_is_better=higher_is_better)


def _miou_of_draws(stored: Arrays, index: SampleIndex) -> NDArray[np.float64]:
    draw_S = stored["repetition"][index] if "repetition" in stored else np.zeros(len(index), int)
    return np.array([_miou_of_clips(stored, index[draw_S == draw]) for draw in np.unique(draw_S)])


def _miou_of_clips(stored: Arrays, index: SampleIndex) -> float:
    if "miou" in stored:
        return float(stored["miou"][index].mean())
    return mean_iou(LabelCounts(*(stored[name][index] for name in ("hit", "true", "claimed"))))


_TOP1 = Metric(
    lambda stored, index: top1(stored["truth"][index], stored["predicted"][index]),
    of_sample=lambda stored: stored["truth"] == stored["predicted"],
)
METRICS: dict[str, Metric] = {
    "top1": _TOP1,
    "top5": Metric(
        lambda stored, index: topk(stored["truth"][index], stored["ranked"][index], 5),
        of_sample=lambda stored: (stored["ranked"][:, :5] == stored["truth"][:, None]).any(1),
    ),
    "mean_class_accuracy": _of_two(mean_class_accuracy),
    "top1_selected_on_test": _TOP1,
    "mean_class_accuracy_selected_on_test": _of_two(mean_class_accuracy),
    "map": Metric(mean_average_precision, prepare=lambda stored: rank(stored["truth"], stored["score"])),
    "counting_error": _of_two(
        counting_error,
        higher_is_better=False,
        of_sample=lambda stored: relative_errors(stored["truth"], stored["predicted"]),
    ),
    "off_by_one": _of_two(off_by_one, of_sample=lambda stored: are_off_by_one(stored["truth"], stored["predicted"])),
    "hungarian_accuracy": _share_of_columns("matched"),
    "nmi": _of_columns("cluster", nmi),
    "ari": _of_columns("cluster", ari),
    "purity": _share_of_columns("majority"),
    "overclustering_accuracy": _share_of_columns("overcluster_majority"),
    "miou": Metric(
        lambda stored, index: float(_miou_of_draws(stored, index).mean()),
        of_sample=lambda stored: stored.get("miou"),
        of_repetition=lambda stored: _miou_of_draws(stored, np.arange(len(stored["groups"]))),
    ),
    "jf_mean": _mean_of(lambda stored: (stored["j_mean"] + stored["f_mean"]) / 2),
    "j_mean": _stored("j_mean"),
    "j_recall": _stored("j_recall"),
    "j_decay": _stored("j_decay", higher_is_better=False),
    "f_mean": _stored("f_mean"),
    "f_recall": _stored("f_recall"),
    "f_decay": _stored("f_decay", higher_is_better=False),
}


def score_all(protocol: BaseProtocol, stored: Arrays, seed: int) -> tuple[Score, ...]:
    """Every metric of a protocol on its stored predictions, each with its interval."""
    return tuple(score(name, protocol, stored, seed) for name in protocol.metrics)


def arrays_read(protocol: BaseProtocol, stored: Arrays) -> dict[str, NDArray[Any]]:
    """The part of stored predictions that scores and comparisons are computed from: ids, groups, what a metric reads.

    Maps, masks and curves, which are there to be looked at, are most of the bytes and not among it.
    """
    watched = _Watched(stored)
    for name in protocol.metrics:
        metric = METRICS[name]
        metric.statistic(metric.prepare(watched), np.arange(len(stored["groups"])))
        metric.of_sample(watched)
        if metric.of_repetition:
            metric.of_repetition(watched)
    return {name: array for name, array in stored.items() if name in {"ids", "groups", *watched.names}}


class _Watched(Mapping[str, NDArray[Any]]):
    """Arrays that remember which of them were asked for."""

    def __init__(self, stored: Arrays) -> None:
        self._stored = stored
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.names.add(name)
        return self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def units_of(protocol: BaseProtocol, stored: Arrays) -> NDArray[Any]:
    """What is resampled together, one name per sample, (S,)."""
    return stored["groups"] if protocol.uncertainty.unit == "group" else np.arange(len(stored["groups"]))


def score(name: str, protocol: BaseProtocol, stored: Arrays, seed: int) -> Score:
    """One metric on all samples, with its bootstrap interval over the units the protocol names."""
    metric, uncertainty = METRICS[name], protocol.uncertainty
    prepared, everything = metric.prepare(stored), np.arange(len(stored["groups"]))
    low, high, num_units = bootstrap_interval(
        lambda index: metric.statistic(prepared, index),
        units_of(protocol, stored),
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        rng=np.random.default_rng([seed, zlib.crc32(name.encode())]),
        method=uncertainty.method,
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
    repeated = metric.of_repetition(stored) if metric.of_repetition else np.zeros(0)
    return Score(
        metric=name,
        value=metric.statistic(prepared, everything),
        unit="fraction",
        higher_is_better=metric.higher_is_better,
        interval=interval,
        spread=float(repeated.std(ddof=1)) if len(repeated) > 1 else None,
    )
