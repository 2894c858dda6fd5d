"""``tasks``: the tasks on which a model can be evaluated."""

from collections.abc import Iterable

import pandas as pd

from sigma_bench.api.arguments import names_of
from sigma_bench.specs.catalogue import selected_tasks, task_row

_COLUMNS = ("task", "dataset", "protocol", "asks", "metrics", "fingerprint")


def tasks(names: str | Iterable[str] = (), *, asks: str | None = None) -> pd.DataFrame:
    """One row per task of the catalogue.

    Columns: ``task``, the name for ``evaluate``; ``dataset``; ``protocol``, with its version; ``asks``, the information
    that a representation needs for a good score (motion, appearance or segmentation); ``metrics`` of the protocol, the
    main one first; ``fingerprint``, which changes with every setting that can change a score.

    Args:
        names: names or patterns such as ``ssv2/*``; all tasks by default.
        asks: restricts the tasks to those that ask for this.

    Raises:
        ValueError: a name or pattern matches no task.
    """
    found = selected_tasks(names_of("names", names), asks)
    return pd.DataFrame([task_row(task) for task in found], columns=list(_COLUMNS))
