"""``sigma-bench evaluate``: judge a model on a task, a suite, or files of your own."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from sigma_bench.cli.console import err, out, progress
from sigma_bench.cli.folders import RUNS
from sigma_bench.cli.options import finite, seed_option
from sigma_bench.cli.processes import is_launched, run_on_processes, speaks
from sigma_bench.data.custom import custom_tasks, open_custom
from sigma_bench.failures import LoggedError, reason, unexpected_errors_logged, write_traceback
from sigma_bench.specs import catalogue
from sigma_bench.specs.task import ResolvedTask

if TYPE_CHECKING:
    from sigma_bench.data.manifest import Manifest
    from sigma_bench.evaluation.plan import Planned
    from sigma_bench.evaluation.run import Found
    from sigma_bench.models.encoder import Encoder
    from sigma_bench.protocols.features import FeatureCache
    from sigma_bench.training.distribution import World

Jobs = Sequence[tuple[ResolvedTask, "Path | Manifest"]]


def evaluate(
    model: str = typer.Argument(
        ...,
        help="Checkpoint file or run folder; timm:<name>; module:function; random:<recipe>[@seed<n>]; "
        "statistics:<recipe>.",
    ),
    task: list[str] = typer.Option([], help="Task name, see 'sigma-bench tasks', or a task file such as mine.yaml."),
    suite: str = typer.Option(None, help="Suite name: all of its tasks."),
    data: Path = typer.Option(None, help="Data root that holds the tasks' datasets."),
    csv: Path = typer.Option(None, help="Your own files: a CSV with path,label,split[,group]."),
    folders: Path = typer.Option(None, help="Your own files: a class-per-folder tree."),
    protocol: list[str] = typer.Option([], help="For your own files, without --task; default: knn@1 and linear@1."),
    variants: str = typer.Option(None, help="For your own files: also under each of these, such as conditions."),
    folds: str = typer.Option(None, help="For your own files: official (the default), or leave_one_group_out."),
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
    overrides = _overrides(set_)
    if csv is not None or folders is not None:
        _refuse("has datasets of its own; for your own files give --task or --protocol", suite=suite)
        _refuse("is for tasks of the catalogue; your own files are named by --csv or --folders", data=data)
        manifest = open_custom(csv, folders)
        custom = custom_tasks(
            manifest, tasks=task, protocols=protocol, variants=variants, folds=folds, overrides=overrides
        )
        jobs: Jobs = [(resolved, manifest) for resolved in custom]
    else:
        _refuse("is for your own files; a task of the catalogue is varied by --task name+variant", variants=variants)
        _refuse("is for your own files; a task of the catalogue says its own", protocol=protocol, folds=folds)
        jobs = _catalogue_jobs(task, suite, data, overrides)
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.models.zoo import load_encoder
    from sigma_bench.protocols.features import FeatureCache
    from sigma_bench.training.distribution import joined_world
    from sigma_bench.training.processes import on_main

    cache = FeatureCache(output / "features", num_workers=workers, limit_bytes=round(cache_limit * 2**30))
    with unexpected_errors_logged(output, model), joined_world(device) as world:
        encoder = load_encoder(model, seed=seed, device=world.device)
        plan = on_main(world, lambda: _planned(encoder, jobs, output, cache, seed=seed))
        if speaks() and (dry_run or len(jobs) > 1):
            show_plan(encoder, plan)
        if dry_run:
            failed = [planned.task.task for planned in plan if planned.state == "cannot be run"]
        else:
            failed = evaluate_with_progress(encoder, plan, output, cache, seed=seed, world=world)
    if speaks() and not dry_run:
        out.print(f"records in {output / 'records'}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)


def _refuse(why: str, **options: object) -> None:
    """ValueError for an option that would be ignored."""
    for name, given in options.items():
        if given:
            value = " ".join(given) if isinstance(given, list) else given
            raise ValueError(f"--{name} {value} {why}")


def _catalogue_jobs(tasks: list[str], suite: str | None, data: Path | None, overrides: dict[str, Any]) -> Jobs:
    names = [*tasks, *(catalogue.load_suite(suite).tasks if suite else ())]
    if not names:
        raise ValueError("say what to evaluate on: --task or --suite with --data, or one of --csv and --folders")
    if data is None:
        raise ValueError("--data is missing: the root folder that holds the datasets")
    return [(catalogue.resolve(catalogue.load_task(name), overrides), data) for name in names]


def _planned(encoder: "Encoder", jobs: Jobs, output: Path, cache: "FeatureCache", *, seed: int) -> "Sequence[Planned]":
    """The plan; shows a progress bar while files are read whose content is not known yet."""
    from sigma_bench.evaluation.plan import plan_tasks

    with progress(disable=not speaks()) as display:
        bars: dict[str, TaskID] = {}

        def report(phase: str, done: int, total: int) -> None:
            if phase not in bars:
                bars[phase] = display.add_task(escape(phase), total=total)
            display.update(bars[phase], completed=done, total=total)

        return plan_tasks(encoder, jobs, output, cache, seed=seed, report=report)


def show_plan(encoder: "Encoder", plan: "Sequence[Planned]") -> None:
    """One line per task: what is there already, and what the rest will ask of the encoder."""
    to_do = sum(planned.clips for planned in plan)
    each = _seconds_per_clip(encoder) if to_do else 0.0
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
        f"{encoder.card.model}: {len(plan)} tasks, {to_do:,} clips, about {_duration(to_do * each)} of encoding and "
        "training, decoding not counted",
        markup=False,
    )


def _seconds_per_clip(encoder: "Encoder") -> float:
    """The measured time; NaN for an encoder that fails, since running its tasks reports the error."""
    from sigma_bench.evaluation.plan import seconds_per_clip

    try:
        return seconds_per_clip(encoder)
    except Exception:
        return math.nan


def evaluate_with_progress(
    encoder: "Encoder",
    plan: "Sequence[Planned]",
    output: Path,
    cache: "FeatureCache",
    *,
    seed: int,
    world: "World | None" = None,
) -> list[str]:
    """Run each task or find its record, and print one line per task; failures are explained at the end.

    Returns:
        The names of the failed tasks.

    Raises:
        ValueError: the only task failed through a mistake of the user, or another process has ended.
        LoggedError: the only task failed with any other exception.
        OneSidedError: only this one of several processes failed, which ends the run of all.
    """
    from sigma_bench.evaluation.plan import run_planned
    from sigma_bench.evaluation.session import SINGLE_PROCESS
    from sigma_bench.training.distribution import LostPeerError, OneSidedError, lost_peers_named

    failed: dict[str, str] = {}
    with progress(disable=not speaks()) as display:
        show = display.console.print if speaks() else _show_nothing
        for planned in plan:
            name = escape(f"{encoder.card.model}  {planned.task.task}")
            bar = display.add_task(name, total=None)

            def report(phase: str, done: int, total: int, bar: Any = bar, name: str = name) -> None:
                display.update(bar, description=f"{name}  {phase}", completed=done, total=total)

            try:
                with lost_peers_named(world or SINGLE_PROCESS):
                    found = run_planned(
                        encoder, planned, output, cache, seed=seed, world=world or SINGLE_PROCESS, report=report
                    )
            except LostPeerError:
                raise
            except OneSidedError as error:
                error.add_note(f"in task '{planned.task.task}'")
                raise
            except Exception as error:
                if len(plan) == 1 and isinstance(error, ValueError):
                    raise
                failed[planned.task.task] = _explained(error, planned, output)
                if len(plan) == 1:
                    raise LoggedError(failed[planned.task.task]) from error
                name = escape(f"{encoder.card.model:24} {planned.task.task:28}")
                show(f"{name} [red]failed[/]", soft_wrap=True)
                continue
            finally:
                display.remove_task(bar)
            show(_score_line(encoder, planned, found), markup=False)
    if failed and speaks():
        _print_failed(failed, len(plan))
    return list(failed)


def _print_failed(failed: dict[str, str], num_tasks: int) -> None:
    """Print the number and the names of the failed tasks, and the reason of each."""
    err.print(f"[bold red]{len(failed)} of {num_tasks} tasks failed:[/] {escape(', '.join(failed))}")
    for name, why in failed.items():
        err.print(escape(f"{name}: {why}"), soft_wrap=True)


def _score_line(encoder: "Encoder", planned: "Planned", found: "Found") -> str:
    from sigma_bench.leaderboard.numbers import number

    score = found.record.scores[0]
    value, low, high = (number(one, score.metric) for one in (score.value, score.interval.low, score.interval.high))
    return (
        f"{encoder.card.model:24} {planned.task.task:28} {score.metric} {value:>5} ({low} to {high})  "
        f"{'recorded before' if found.was_there else found.path.name}"
    )


def _show_nothing(*_: Any, **__: Any) -> None:
    pass


def _explained(error: Exception, planned: "Planned", output: Path) -> str:
    """Why a task failed, in one sentence; the traceback of an unexpected error is written to a file."""
    sentence = reason(error)
    if isinstance(error, ValueError) or not speaks():  # the main process keeps the traceback
        return sentence
    return f"{sentence}; {write_traceback(error, output, planned.task.task)}"


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
