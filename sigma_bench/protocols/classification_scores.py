"""Scores of protocols that rank the classes for every sample.

Stored arrays: ``truth`` (S,), ``ranked`` (S, K) the best classes in order, ``predicted`` (S,) the first of them,
``fold`` (S,) in a cross-validation, and ``predicted_of_epoch`` (S, E) where the best of E epochs was selected on the
test.

Shapes: S samples, K best classes, E epochs.
"""

import numpy as np

from sigma_bench.metrics.accuracy import mean_of_classes, top1, topk
from sigma_bench.records.scoring import Control, Metric

_TOP1 = Metric(
    lambda stored, index: top1(stored["truth"][index], stored["predicted"][index]),
    of_sample=lambda stored: stored["truth"] == stored["predicted"],
)
_MEAN_CLASS_ACCURACY = Metric(
    lambda class_and_hit, index: mean_of_classes(*(array[index] for array in class_and_hit)),
    prepare=lambda stored: (
        np.unique(stored["truth"], return_inverse=True)[1],
        stored["truth"] == stored["predicted"],
    ),
)
METRICS = {
    "top1": _TOP1,
    "top5": Metric(
        lambda stored, index: topk(stored["truth"][index], stored["ranked"][index], 5),
        of_sample=lambda stored: (stored["ranked"][:, :5] == stored["truth"][:, None]).any(1),
    ),
    "mean_class_accuracy": _MEAN_CLASS_ACCURACY,
    "top1_selected_on_test": _TOP1,
    "mean_class_accuracy_selected_on_test": _MEAN_CLASS_ACCURACY,
}
CONTROLS = {"chance": Control("chance", metrics=("top1", "top1_selected_on_test"))}
"""Chance is the share of the most frequent class of the test split: the top-1 of always predicting it."""
