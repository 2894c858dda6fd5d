"""SEVERE's one number: the mean of its eight columns, counting turned round (SIGMA's robustness table).

A counting error of 0.169 enters as 100 * (1 - 0.169) percent; everything here is a fraction.
"""

from collections.abc import Mapping

AXES = {
    "domain_shift": ("ssv2", "gym99"),
    "sample_efficiency": ("ucf101_1k", "gym99_1k"),
    "action_granularity": ("fx_s1", "ub_s1"),
    "task_shift": ("ucf_rc", "charades"),
}
"""Columns by axis, named as in the published table."""
COUNTING = "ucf_rc"


def severe_mean(score: Mapping[str, float]) -> float:
    """Mean of the eight columns, by name, as fractions; counting is given as its error.

    Raises:
        ValueError: a column is missing or not one of them: an incomplete row has no mean.
    """
    columns = {column for columns in AXES.values() for column in columns}
    if score.keys() != columns:
        different = ", ".join(sorted(score.keys() ^ columns))
        raise ValueError(
            f"the mean of SEVERE needs its eight columns and nothing else; missing or unknown: {different}"
        )
    return sum(_higher_is_better(column, value) for column, value in score.items()) / len(columns)


def axis_means(score: Mapping[str, float]) -> dict[str, float]:
    """Mean of the two columns of each axis; axes with a missing column are left out."""
    return {
        axis: sum(_higher_is_better(column, score[column]) for column in columns) / len(columns)
        for axis, columns in AXES.items()
        if score.keys() >= set(columns)
    }


def _higher_is_better(column: str, value: float) -> float:
    return 1 - value if column == COUNTING else value
