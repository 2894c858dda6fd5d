"""``tasks``: the tasks on which a model can be evaluated."""

import pandas as pd

from sigma_bench.specs.catalogue import load_task, resolve, task_names


def tasks() -> pd.DataFrame:
    """One row per task of the catalogue.

    Columns: ``task``, the name for ``evaluate``; ``dataset``; ``protocol``, with its version; ``asks``, the information
    that a representation needs for a good score (motion, appearance or segmentation); ``metric``, the first metric of
    the protocol.
    """
    found = [resolve(load_task(name)) for name in task_names()]
    rows = [
        (task.task, task.dataset.title, task.protocol.protocol, task.asks, task.protocol.metrics[0]) for task in found
    ]
    return pd.DataFrame(rows, columns=["task", "dataset", "protocol", "asks", "metric"])
