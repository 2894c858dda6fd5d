"""Scores of counted repetitions.

Stored arrays: ``truth`` (S,) and ``predicted`` (S,), whole numbers of repetitions.

Shapes: S videos.
"""

from sigma_bench.metrics.counting import are_off_by_one, counting_error, off_by_one, relative_errors
from sigma_bench.records.scoring import Control, of_truth_and_prediction

METRICS = {
    "counting_error": of_truth_and_prediction(
        counting_error,
        higher_is_better=False,
        of_sample=lambda stored: relative_errors(stored["truth"], stored["predicted"]),
    ),
    "off_by_one": of_truth_and_prediction(
        off_by_one, of_sample=lambda stored: are_off_by_one(stored["truth"], stored["predicted"])
    ),
}
CONTROLS = {
    "error_of_count_chosen_on_train": Control("one count, chosen on train", metrics=("counting_error",)),
    "error_of_count_chosen_on_test": Control("one count, chosen on test", metrics=("counting_error",)),
    "error_of_mean_cycle_of_train": Control("one cycle length, the mean of train", metrics=("counting_error",)),
}
