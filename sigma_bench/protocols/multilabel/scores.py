"""Scores of several labels per sample.

Stored arrays: ``truth`` (S, L) and ``score`` (S, L).

Shapes: S samples, L classes.
"""

from sigma_bench.metrics.average_precision import mean_average_precision, rank
from sigma_bench.records.scoring import Control, Metric

METRICS = {"map": Metric(mean_average_precision, prepare=lambda stored: rank(stored["truth"], stored["score"]))}
CONTROLS = {"chance": Control("chance", metrics=("map",))}
"""Chance is the mean prevalence of the classes, to which the mAP of random scores tends with the number of samples."""
