"""``sigma-bench evaluate``: evaluate a model on a task, a suite, or custom data."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from sigma_bench.api.jobs import RUNS, jobs_of
from sigma_bench.api.progress import err, is_main_process, progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.options import finite, seed_option
from sigma_bench.cli.processes import is_launched, run_on_processes

if TYPE_CHECKING:
    from rich.progress import Progress

    from sigma_bench.api.evaluation import OpenSuite, TaskResult
    from sigma_bench.models.encoder import Encoder


def evaluate(
    model: str = typer.Argument(
        ...,
        help="Checkpoint file or run folder; timm:<name>; module:function; random:<recipe>[@seed<n>]; "
        "statistics:<recipe>.",
    ),
    task: list[str] = typer.Option([], help="Task name, see 'sigma-bench tasks', or a task file such as mine.yaml."),
    suite: str = typer.Option(None, help="Suite name: all of its tasks."),
    data: Path = typer.Option(None, help="Data root that holds the tasks' datasets."),
    csv: Path = typer.Option(None, help="Custom data: a CSV with path,label,split[,group]."),
    folders: Path = typer.Option(None, help="Custom data: a class-per-folder tree."),
    protocol: list[str] = typer.Option([], help="For custom data, without --task; default: knn@1 and linear@1."),
    variants: str = typer.Option(None, help="For custom data: also under each of these, such as conditions."),
    folds: str = typer.Option(None, help="For custom data: official (the default), or leave_one_group_out."),
    set_: list[str] = typer.Option([], "--set", help="Protocol key to change, such as clip.sampling.stride_frames=2."),
    output: Path = typer.Option(RUNS, help="Folder for records, predictions and cached features."),
    seed: int = seed_option("Draws held-out parts, frame draws, k-means starts and bootstrap samples."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    nproc: int = typer.Option(1, min=1, help="Processes on this machine, one per GPU; the record is the same."),
    workers: int = typer.Option(0, min=0, help="Processes that decode videos, per process."),
    cache_limit: float = typer.Option(
        200.0, callback=finite, help="GiB that cached features may take; see 'sigma-bench cache ls'."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the plan and stop; exit code 1 if a task cannot run."),
) -> None:
    """Evaluate a model and store a record per task; tasks that are already recorded are not computed again.

    A task that fails does not stop the others.  It is named at the end, and the exit code is 1.
    """
    jobs = jobs_of(
        task,
        suite=suite,
        data=data,
        csv=csv,
        folders=folders,
        protocols=protocol,
        variants=variants,
        folds=folds,
        overrides=_overrides(set_),
    )
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.api.evaluation import open_suite

    with open_suite(
        model, jobs, output=output, seed=seed, device=device, num_workers=workers, cache_limit=cache_limit
    ) as opened:
        if is_main_process() and (dry_run or len(jobs) > 1):
            show_plan(opened)
        cannot_run = [planned for planned in opened.plan if planned.state == "cannot be run"]
        failed = bool(cannot_run) if dry_run else run_and_show(opened)
    if is_main_process() and not dry_run:
        out.print(f"records in {output / 'records'}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)


def run_and_show(suite: "OpenSuite") -> bool:
    """Run the tasks and print one line per task; failures are explained at the end.

    Returns:
        Whether a task failed.

    Raises:
        ValueError, LoggedError: the only task failed.
    """
    from sigma_bench.api.evaluation import raise_failure

    failed: list[TaskResult] = []
    with progress_bars() as bars:
        for result in suite.run(bars):
            if result.found is None:
                failed.append(result)
            _show_line(bars, suite, result)
    if len(suite.plan) == 1 and failed:
        raise_failure(failed[0])
    if failed and is_main_process():
        names = ", ".join(result.planned.task.task for result in failed)
        err.print(f"[bold red]{len(failed)} of {len(suite.plan)} tasks failed:[/] {escape(names)}")
        for result in failed:
            err.print(escape(f"{result.planned.task.task}: {result.failure}"), soft_wrap=True)
    return bool(failed)


def _show_line(bars: "Progress", suite: "OpenSuite", result: "TaskResult") -> None:
    """Print the first score of a task above the progress bar, or that it failed; one of several processes does."""
    from sigma_bench.leaderboard.numbers import number

    if not is_main_process():
        return
    name = f"{suite.encoder.card.model:24} {result.planned.task.task:28}"
    if result.found is None:
        if len(suite.plan) > 1:
            bars.console.print(f"{escape(name)} [red]failed[/]", soft_wrap=True)
        return
    score = result.found.record.scores[0]
    value, low, high = (number(one, score.metric) for one in (score.value, score.interval.low, score.interval.high))
    where = "recorded before" if result.found.was_there else result.found.path.name
    bars.console.print(f"{name} {score.metric} {value:>5} ({low} to {high})  {where}", markup=False)


def show_plan(suite: "OpenSuite") -> None:
    """Print one line per task: what is there already, and how many clips the rest will send through the encoder."""
    plan = suite.plan
    to_do = sum(planned.clips for planned in plan)
    each = _seconds_per_clip(suite.encoder) if to_do else 0.0
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("task", "protocol", "state", "clips through the encoder", "about"):
        listing.add_column(column, justify="right" if column in ("clips through the encoder", "about") else "left")
    for planned in plan:
        clips = planned.clips
        shown = (f"{clips:,}", _duration(clips * each)) if clips else ("", "")
        listing.add_row(escape(planned.task.task), planned.task.protocol.protocol, planned.state, *shown)
    out.print(listing)
    for note in dict.fromkeys(planned.note for planned in plan if planned.note):
        names = ", ".join(planned.task.task for planned in plan if planned.note == note)
        out.print(f"{names}: {note}", soft_wrap=True, markup=False)
    out.print(
        f"{suite.encoder.card.model}: {len(plan)} tasks, {to_do:,} clips, about {_duration(to_do * each)} of encoding "
        "and training, decoding not counted",
        markup=False,
    )


def _seconds_per_clip(encoder: "Encoder") -> float:
    """The measured time; NaN for an encoder that fails, since running its tasks reports the error."""
    from sigma_bench.evaluation.plan import seconds_per_clip

    try:
        return seconds_per_clip(encoder)
    except Exception:
        return math.nan


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "unknown"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"


def _overrides(pairs: list[str]) -> dict[str, Any]:
    """``a.b=c`` pairs as nested keys; values are read like YAML scalars."""
    from sigma_bench.specs.strict import read_scalar

    nested: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {pair}: expected key=value, such as neighbours=5")
        place = nested
        *outer, last = key.split(".")
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ValueError(f"--set {pair}: '{part}' was set to a value before, so no key inside it can be set")
        place[last] = read_scalar(value)
    return nested
