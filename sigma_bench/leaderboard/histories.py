"""Training histories: the losses of pretraining runs, as their folders keep them."""

from collections import Counter
from pathlib import Path
from typing import cast

from sigma_bench.specs.bounded import parse_json, read_bounded

MOST_HISTORY_BYTES = 256 << 20


def training_histories(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Training histories below a folder by the name of the run, with its folders if two runs have one name.

    Raises:
        ValueError: a file that is no history.
    """
    runs = {path.parent: _history(path) for path in sorted(folder.rglob("history.json"))}
    times = Counter(run.name for run in runs)
    return {
        run.name if times[run.name] == 1 else run.relative_to(folder).as_posix(): history
        for run, history in runs.items()
    }


def _history(path: Path) -> list[dict[str, float]]:
    try:
        history = parse_json(read_bounded(path, MOST_HISTORY_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: not a training history ({error}); move it away, or continue its run") from error
    is_list = isinstance(history, list) and all(isinstance(line, dict) for line in history)
    if not is_list or not all(type(value) in (int, float) for line in history for value in line.values()):
        raise ValueError(f"{path}: not a training history (expected lists of numbers by name); move it away")
    return cast(list[dict[str, float]], history)
