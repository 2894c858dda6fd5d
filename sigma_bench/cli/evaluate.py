"""``sigma-bench evaluate``: evaluate a model on a task, a suite, or custom data."""

from pathlib import Path

import typer

from sigma_bench.api.progress import is_main_process
from sigma_bench.api.resolved_tasks import resolve_tasks
from sigma_bench.cli.chosen_data import CSV, FOLDERS
from sigma_bench.cli.console import out
from sigma_bench.cli.launcher import is_launched, run_on_processes
from sigma_bench.cli.options import (
    finite,
    model_args_option,
    nested_overrides,
    seed_option,
    whole_or_auto,
)
from sigma_bench.cli.suite_lines import run_and_show, show_plan, with_costs
from sigma_bench.resources import CACHE_LIMIT_GIB, RUNS
from sigma_bench.specs.limit import parse_limit
from sigma_bench.specs.model_arguments import parse_model_arguments
from sigma_bench.specs.passes import Precision


def evaluate(
    model: str = typer.Argument(
        ...,
        help="Checkpoint file or run folder; hf:<folder or id>; timm:<name>; module:function; "
        "random:<recipe>\\[@seed<n>]; statistics:<recipe>.  'sigma-bench models' describes them.",
    ),
    model_args: str = model_args_option(),
    task: list[str] = typer.Option(
        [],
        help="Name of a task (see 'sigma-bench tasks'), a pattern such as 'ssv2/*', or a task file such as mine.yaml; "
        "repeatable.",
    ),
    suite: str = typer.Option(None, help="Name of a suite, all tasks of which are evaluated."),
    asks: str = typer.Option(None, help="Evaluate only tasks that depend on this: motion, appearance or segmentation."),
    data: Path = typer.Option(None, help="Root folder that holds the datasets of the tasks, except custom ones."),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    protocol: list[str] = typer.Option(
        [], help="Protocol for custom data, in place of --task; default: knn@1 and linear@1."
    ),
    variants: str = typer.Option(
        None, help="File of variants for custom data, such as conditions; each variant is evaluated as well."
    ),
    folds: str = typer.Option(
        None,
        help="Division of custom data without splits, by whole groups: a number of folds such as 5, "
        "leave_one_group_out, or random:0.2 for one random split with this share as test.",
    ),
    set_: list[str] = typer.Option([], "--set", help="Protocol key to change, such as clip.sampling.stride_frames=2."),
    limit: str = typer.Option(
        None,
        help="Number of samples per split, such as 100, or a fraction, such as 0.01, for a smoke run; at least two of "
        "each class are kept.  The record is partial and enters no board, comparison or export.",
    ),
    output: Path = typer.Option(RUNS, help="Folder for records, predictions and cached features."),
    seed: int = seed_option("Seed of held-out parts, random frames, initial clusters and bootstrap samples."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    nproc: int = typer.Option(
        1, min=1, help="Number of processes on this machine, one per GPU; the record does not depend on it."
    ),
    precision: Precision = typer.Option(
        None, help="Precision of a frozen encoder, float32 or bfloat16, in place of that of the protocols."
    ),
    batch_size: str = typer.Option(
        "auto",
        help="Greatest number of clips that are encoded at once, or auto; halved if memory does not suffice.",
    ),
    num_workers: str = typer.Option(
        "auto", help="Number of decoding processes per process, or auto (processor cores minus one)."
    ),
    cache_limit: float = typer.Option(
        CACHE_LIMIT_GIB,
        callback=finite,
        help="Greatest size of the cached features in GiB; see 'sigma-bench cache ls'.",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and stop; exit code 1 if a task cannot run."),
) -> None:
    """Evaluate a model and store a record per task; tasks that are already recorded are not computed again.

    A task that fails does not stop the others.  It is named at the end, and the exit code is 1.
    """
    tasks = resolve_tasks(
        task,
        suite=suite,
        asks=asks,
        data=data,
        csv=csv,
        folders=folders,
        protocols=protocol,
        variants=variants,
        folds=folds,
        overrides=nested_overrides(set_),
        precision=precision,
    )
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.api.open_suite import open_suite

    with open_suite(
        model,
        tasks,
        arguments=parse_model_arguments(model_args),
        output=output,
        seed=seed,
        limit=None if limit is None else parse_limit(limit),
        device=device,
        num_workers=whole_or_auto(num_workers),
        batch_size=whole_or_auto(batch_size),
        cache_limit=cache_limit,
    ) as opened:
        if is_main_process() and (dry_run or len(tasks) > 1):
            opened = with_costs(opened)
            show_plan(opened, with_failures=dry_run)
        cannot_run = [planned for planned in opened.plan if planned.state == "cannot be run"]
        num_failed = len(cannot_run) if dry_run else run_and_show(opened)
    if is_main_process() and not dry_run and num_failed < len(tasks):
        out.print_plain(f"records in {output / 'records'}")
    if num_failed:
        raise typer.Exit(1)
