"""Two compared models, as a frame and in a notebook."""

from dataclasses import dataclass

import pandas as pd

from sigma_bench.leaderboard.comparison import Comparison, Difference
from sigma_bench.leaderboard.html_table import frame_html


@dataclass(frozen=True, kw_only=True)
class ModelComparison(Comparison):
    """Two models on all tasks on which both were measured under the same conditions."""

    def frame(self) -> pd.DataFrame:
        """One row per task, and the mean over the tasks as the last one.

        Columns: ``task``, ``metric``, the scores of the ``first`` and the ``second`` model; their ``difference`` as a
        fraction, positive if the first is better, with the ends ``low`` and ``high`` of its interval; ``num_units``
        (test units that are resampled); ``better``, the name of the better model or ``neither``.
        """
        rows: list[tuple[object, ...]] = [
            (task.task, task.metric, task.first, task.second, *self._words(task.difference)) for task in self.tasks
        ]
        rows.append(("mean over tasks", "", None, None, *self._words(self.overall)))
        columns = ["task", "metric", "first", "second", "difference", "low", "high", "num_units", "better"]
        return pd.DataFrame(rows, columns=columns).astype({"first": float, "second": float})

    def better(self, difference: Difference) -> str:
        """The name of the better model; ``neither`` if the interval of the difference holds 0."""
        if difference.is_tie:
            return "neither"
        return self.first if difference.value > 0 else self.second

    def _words(self, difference: Difference) -> tuple[float, float, float, int, str]:
        return difference.value, difference.low, difference.high, difference.num_units, self.better(difference)

    def _repr_html_(self) -> str:
        notes = f"; {len(self.left_out)} evaluations are not compared" if self.left_out else ""
        return frame_html(self.frame(), f"{self.first} (first) and {self.second} (second){notes}")
