"""``sigma-bench evaluate``: judge a model on a task, a suite, or files of your own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sigma_bench.cli.console import out, progress
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard, SplitSpec
from sigma_bench.specs.task import ResolvedTask, Task

if TYPE_CHECKING:
    from sigma_bench.data.manifest import Manifest
    from sigma_bench.models.encoder import Encoder
    from sigma_bench.protocols.features import FeatureCache


def evaluate(
    model: str = typer.Argument(..., help="Checkpoint file or run folder; random:<recipe> or statistics:<recipe>."),
    task: list[str] = typer.Option([], help="Task name, see 'sigma-bench tasks'; may be given several times."),
    suite: str = typer.Option(None, help="Suite name: all of its tasks."),
    data: Path = typer.Option(None, help="Data root that holds the tasks' datasets."),
    csv: Path = typer.Option(None, help="Your own files: a CSV with path,label,split[,group]."),
    folders: Path = typer.Option(None, help="Your own files: a class-per-folder tree."),
    protocol: list[str] = typer.Option(["knn@1", "linear@1"], help="Protocols for your own files."),
    folds: str = typer.Option("official", help="For your own files: official, or leave_one_group_out."),
    set_: list[str] = typer.Option([], "--set", help="Protocol key to change, such as clip.sampling.stride_frames=2."),
    output: Path = typer.Option(Path("results/runs"), help="Folder for records, predictions and cached features."),
    seed: int = typer.Option(0, help="Draws held-out parts, frame draws, k-means starts and bootstrap samples."),
) -> None:
    """Evaluate a model and store a record per task; what is already recorded is not computed again."""
    from sigma_bench.models.zoo import load_encoder

    overrides = _overrides(set_)
    if (csv is None) == (folders is None) and not (task or suite):
        raise ValueError("say what to evaluate on: --task or --suite with --data, or one of --csv and --folders")
    if csv is not None or folders is not None:
        jobs: Sequence[tuple[ResolvedTask, Path | Manifest]] = _own_files(csv, folders, protocol, folds, overrides)
    else:
        if data is None:
            raise ValueError("--data is missing: the root folder that holds the datasets")
        names = [*task, *(catalogue.load_suite(suite).tasks if suite else ())]
        jobs = [(resolved, data) for resolved in (catalogue.resolve(catalogue.load_task(n), overrides) for n in names)]
    evaluate_with_progress(load_encoder(model, seed=seed), jobs, output, seed=seed)
    out.print(f"records in {output / 'records'}")


def evaluate_with_progress(
    encoder: "Encoder",
    jobs: "Sequence[tuple[ResolvedTask, Path | Manifest]]",
    output: Path,
    *,
    seed: int,
    cache: "FeatureCache | None" = None,
) -> None:
    """Run or find every task, one progress line each, then one line per score."""
    from sigma_bench.runs.plan import find_or_evaluate

    with progress() as display:
        for task, source in jobs:
            bar = display.add_task(f"{encoder.card.model}  {task.task}", total=None)

            def report(phase: str, done: int, total: int, bar: Any = bar, name: str = task.task) -> None:
                display.update(bar, description=f"{encoder.card.model}  {name}  {phase}", completed=done, total=total)

            found = find_or_evaluate(encoder, task, source, output, seed=seed, report=report, cache=cache)
            display.remove_task(bar)
            score = found.record.scores[0]
            low, high = score.interval.low, score.interval.high
            display.console.print(
                f"{encoder.card.model:24} {task.task:28} {score.metric} {100 * score.value:5.1f} "
                f"({100 * low:.1f} to {100 * high:.1f})  {'recorded before' if found.was_there else found.path.name}"
            )


def _own_files(
    csv: Path | None, folders: Path | None, protocols: list[str], folds: str, overrides: dict[str, Any]
) -> "list[tuple[ResolvedTask, Path | Manifest]]":
    """Tasks over files that are in no catalogue: a card made from what is there."""
    from sigma_bench.data.readers.user_files import read_class_folders, read_csv

    if folds not in ("official", "leave_one_group_out"):
        raise ValueError(f"--folds {folds}: choose official or leave_one_group_out")
    if csv is not None and folders is not None:
        raise ValueError("give --csv or --folders, not both")
    manifest = read_csv(csv) if csv is not None else read_class_folders(folders or Path())
    card = DatasetCard(
        dataset=manifest.dataset,
        title=manifest.dataset,
        media="video",
        reader="user_files",
        classes=len(manifest.classes or ()),
        splits={name: SplitSpec(samples=split.expected) for name, split in manifest.splits.items()},
        split_note=folds.replace("_", " "),
        group="as given",
        layout=("files of the user",),
        licence="not stated",
        source="the user",
        citation="none",
    )
    jobs: list[tuple[ResolvedTask, Path | Manifest]] = []
    for name in protocols:
        task = Task(
            task=f"{manifest.dataset}/{name.split('@')[0]}",
            dataset=manifest.dataset,
            protocol=name,
            asks="unspecified",
            folds=folds,  # type: ignore[arg-type]
            overrides={},
            note="files of the user",
        )
        jobs.append((catalogue.resolve_with_card(task, card, overrides), manifest))
    return jobs


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
        place[last] = read_scalar(value)
    return nested
