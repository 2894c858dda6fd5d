"""Scores as a pure function of stored predictions, so that they can be computed again.

The class of a protocol names its scoring module, which defines two tables:

- ``METRICS``, name -> ``Metric``: how a number is computed from the arrays that the protocol stores.  Every protocol
  stores ``ids`` (scored samples) and ``groups`` (resampling units of the samples); its module documents the other
  arrays.
- ``CONTROLS``, name -> ``Control``: how the reference values of the task are named in tables.

Shapes: S samples (or clips, or objects).
"""

import importlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.uncertainty import SampleIndex, bootstrap_interval
from sigma_bench.records.record import Interval, Score
from sigma_bench.specs.protocol import KINDS, BaseProtocol, UnknownProtocol
from sigma_bench.specs.strict import suggestion

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
    """Computation of a number from stored arrays, on samples with given indices."""

    statistic: Callable[[Any, SampleIndex], float]
    """Function of the prepared arrays and the indices of samples, (S,), which returns the number as a fraction."""
    higher_is_better: bool = True
    prepare: Callable[[Arrays], Any] = lambda stored: stored
    """Preparation of the stored arrays, called once for all resamples; its result is passed to ``statistic``."""
    of_sample: Callable[[Arrays], NDArray[Any] | None] = lambda stored: None
    """Value of each sample, (S,), if the metric is their mean, for fast comparisons that can name samples."""
    of_repetition: Callable[[Arrays], NDArray[np.float64]] | None = None
    """Value of each repetition, if ``statistic`` is their mean."""


class Control(NamedTuple):
    """A reference value of the task: a floor that needs no model, a ceiling of the features, or a note."""

    label: str
    """Name in tables."""
    kind: Literal["floor", "ceiling", "note"] = "floor"
    metrics: tuple[str, ...] = ()
    """Metrics that the value refers to; empty for all metrics."""
    is_per_grid: bool = False
    """Whether the value depends on the token grid and its name ends in the grid, such as ``_8x6x6``."""


def metrics_of(protocol: BaseProtocol) -> Mapping[str, Metric]:
    """The metrics of a protocol by name; empty if its package is not installed."""
    found: Mapping[str, Metric] = _scoring(protocol, "METRICS")
    return found


class ControlValue(NamedTuple):
    """A control with its value, as a fraction."""

    value: float
    label: str
    kind: Literal["floor", "ceiling", "note"]
    grid: str
    """Token grid of the value, such as ``8x6x6``; empty if it depends on none."""


def controls_of(protocol: BaseProtocol, values: Mapping[str, float], metric: str) -> dict[str, ControlValue]:
    """The controls of a record that refer to a metric, by their names in the record.

    A control that the protocol does not describe is a floor of all metrics.
    """
    known: Mapping[str, Control] = _scoring(protocol, "CONTROLS")
    found = {}
    for name, value in values.items():
        stem, _, grid = name.rpartition("_")
        is_per_grid = name not in known and stem in known and known[stem].is_per_grid
        control = known[stem] if is_per_grid else known.get(name, Control(name.replace("_", " ")))
        if not control.metrics or metric in control.metrics:
            found[name] = ControlValue(float(value), control.label, control.kind, grid if is_per_grid else "")
    return found


def require_metrics(protocol: BaseProtocol) -> None:
    """ValueError unless the scoring module of a protocol describes all of its metrics."""
    known = metrics_of(protocol)
    for name in protocol.metrics:
        if not isinstance(known.get(name), Metric):
            raise ValueError(
                f"the metric '{name}' of {protocol.protocol} is not among METRICS of {protocol.scoring}."
                f"{suggestion(name, known)}"
            )


def _scoring(protocol: BaseProtocol, table: str) -> Any:
    """A table of the scoring module of a protocol; ValueError if another package does not define it."""
    if isinstance(protocol, UnknownProtocol):
        return {}
    try:
        return getattr(importlib.import_module(protocol.scoring), table)
    except Exception as error:
        if protocol.kind in KINDS.built_in:
            raise
        raise ValueError(
            f"the protocol kind '{protocol.kind}' of another package cannot be scored, since {table} of the module "
            f"that its 'scoring' names cannot be imported: {type(error).__name__}: {error}"
        ) from error


def of_truth_and_prediction(score: Callable[[NDArray[Any], NDArray[Any]], float], **more: Any) -> Metric:
    """A metric that is a score of the arrays ``truth`` and ``predicted``."""
    return Metric(lambda stored, index: score(stored["truth"][index], stored["predicted"][index]), **more)


def of_columns(name: str, score: Callable[[NDArray[Any], NDArray[Any]], float], **more: Any) -> Metric:
    """A metric that is the mean of a score of ``truth`` and each column of another array."""

    def values(stored: Arrays, index: SampleIndex) -> NDArray[np.float64]:
        return np.array([score(stored["truth"][index], column_S[index]) for column_S in stored[name].T])

    return Metric(
        lambda stored, index: float(values(stored, index).mean()),
        of_repetition=lambda stored: values(stored, np.arange(len(stored["truth"]))),
        **more,
    )


def mean_of(
    of_sample: Callable[[Arrays], NDArray[Any]],
    *,
    higher_is_better: bool = True,
    of_repetition: Callable[[Arrays], NDArray[np.float64]] | None = None,
) -> Metric:
    """A metric that is the mean of one value per sample.

    Args:
        of_sample: value of each sample, (S,), from the stored arrays.
        of_repetition: value of each repetition, if the protocol has several; its mean is that of the samples.  Their
            standard deviation is the spread of the score.
    """
    return Metric(
        lambda value_S, index: float(value_S[index].mean()),
        higher_is_better=higher_is_better,
        prepare=of_sample,
        of_sample=of_sample,
        of_repetition=of_repetition,
    )


def stored_mean(name: str, *, higher_is_better: bool = True) -> Metric:
    """A metric that is the mean of a stored array."""
    return mean_of(lambda stored: stored[name], higher_is_better=higher_is_better)


def score_all(protocol: BaseProtocol, stored: Arrays, seed: int) -> tuple[Score, ...]:
    """Every metric of a protocol on its stored predictions, each with its interval."""
    return tuple(score(name, protocol, stored, seed) for name in protocol.metrics)


def arrays_read(protocol: BaseProtocol, stored: Arrays) -> dict[str, NDArray[Any]]:
    """The stored arrays that scores and comparisons are computed from: ids, groups and all arrays that a metric reads.

    Maps, masks and curves for pictures are most of the bytes and are left out.
    """
    watched = _Watched(stored)
    for name in protocol.metrics:
        metric = metrics_of(protocol)[name]
        metric.statistic(metric.prepare(watched), np.arange(len(stored["groups"])))
        metric.of_sample(watched)
        if metric.of_repetition:
            metric.of_repetition(watched)
    return {name: array for name, array in stored.items() if name in {"ids", "groups", *watched.names}}


class _Watched(Mapping[str, NDArray[Any]]):
    """Arrays that record the names of those that are read."""

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
    """Resampling unit of each sample, (S,)."""
    return stored["groups"] if protocol.uncertainty.unit == "group" else np.arange(len(stored["groups"]))


def score(name: str, protocol: BaseProtocol, stored: Arrays, seed: int, *, by_samples: bool = False) -> Score:
    """One metric on all samples with its bootstrap interval over the units that the protocol declares.

    Args:
        by_samples: resample the values of the samples where the metric is their mean, which is much faster; the ends of
            the interval can then differ in the last bits.
    """
    metric, uncertainty = metrics_of(protocol)[name], protocol.uncertainty
    prepared, everything = metric.prepare(stored), np.arange(len(stored["groups"]))
    low, high, num_units = bootstrap_interval(
        lambda index: metric.statistic(prepared, index),
        units_of(protocol, stored),
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        rng=np.random.default_rng([seed, zlib.crc32(name.encode())]),
        method=uncertainty.method,
        value_S=metric.of_sample(stored) if by_samples else None,
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
