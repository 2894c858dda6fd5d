"""``sigma-bench data describe``: declares custom data as a dataset."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sigma_bench.cli.console import out
from sigma_bench.specs.folds import folds_in_words

if TYPE_CHECKING:
    from sigma_bench.specs.dataset import DatasetFile


def describe(
    path: Path = typer.Argument(..., help="CSV with path,label,split[,group], or a tree with one folder per class."),
    name: str = typer.Option(None, help="Name of the dataset. Default: the name of the CSV or folder."),
    output: Path = typer.Option(Path(), help="Folder for tasks/<name>.yaml, which --include takes."),
    folds: str = typer.Option(
        None, help="Folds of data without train and test. Default: leave_one_group_out if there are groups."
    ),
) -> None:
    """Write the declaration of custom data, a YAML file with card and tasks, which can be edited.

    With --include and the folder, the dataset and its tasks are found by all commands.
    """
    from sigma_bench.api.description import describe as write
    from sigma_bench.specs.dataset import DatasetFile
    from sigma_bench.specs.strict import load_spec

    file = write(path, name=name, output=output, folds=folds)
    declared = load_spec(DatasetFile, file)
    tasks = [f"{file.stem}/{task}" for task in declared.tasks]
    out.print_plain(f"{file}: {len(tasks)} tasks ({', '.join(tasks)})")
    out.print_plain(f"folds: {_folds(declared)}")
    words = ["sigma-bench", "--include", str(output), "evaluate", "MODEL", "--task", f"{file.stem}/*", "--dry-run"]
    out.print_plain(f"next: {shlex.join(words)}")


def _folds(declared: "DatasetFile") -> str:
    """How the tasks of a declaration divide the data."""
    divided = {name: task.folds for name, task in declared.tasks.items() if task.folds != "official"}
    if not divided:
        return f"none; the data are used as given ({' and '.join(declared.splits)})"
    return f"{folds_in_words(next(iter(divided.values())))} ({', '.join(divided)}); --folds chooses others"
