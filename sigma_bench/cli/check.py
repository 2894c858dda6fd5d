"""``sigma-bench check``: check a model or a task file."""

from pathlib import Path

import typer
from rich.markup import escape

from sigma_bench.cli.console import out
from sigma_bench.cli.options import model_args_option
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import CUSTOM_READER
from sigma_bench.specs.model_arguments import parse_model_arguments
from sigma_bench.specs.strict import is_yaml_file


def check(
    target: str = typer.Argument(
        ..., help="A model (file, folder, module:function, control) or a task file (its name ends in .yaml or .yml)."
    ),
    model_args: str = model_args_option(),
    data: Path = typer.Option(None, help="For a task: root folder in which its dataset is searched."),
) -> None:
    """Check a model on synthetic clips, or a task file; the exit code is 1 if a check fails."""
    if is_yaml_file(target):
        _check_task(target, data)
        return
    from sigma_bench.models.encoder_check import check_encoder
    from sigma_bench.models.zoo import load_encoder

    encoder = load_encoder(target, arguments=parse_model_arguments(model_args))
    card = encoder.card
    out.print(f"[bold]{escape(card.model)}[/]  {card.num_frames} frames of {card.image_size} px, {card.family}")
    failed = 0
    for question, passed, found in check_encoder(encoder):
        failed += not passed
        out.print(f"{'[green]ok[/]   ' if passed else '[red]fails[/]'} {question}: {escape(found)}", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _check_task(target: str, data: Path | None) -> None:
    from sigma_bench.specs.fingerprint import task_fingerprint

    task = catalogue.resolve(catalogue.load_task(target))
    out.print(
        f"[green]ok[/]    {escape(task.task)}: {task.protocol.protocol} on {task.dataset.title}, {task.folds} splits"
    )
    out.print(f"[green]ok[/]    fingerprint {task_fingerprint(task)}, metrics {', '.join(task.protocol.metrics)}")
    if data is None and task.dataset.reader != CUSTOM_READER:
        return
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.data.folds import divided

    manifest = divided(open_dataset(task.dataset, data), task.folds)
    for use in task.protocol.splits(manifest.splits.keys(), task.folds):
        split = manifest.splits[use.name]
        found = len(split.samples) - len(split.missing)
        out.print(f"[green]ok[/]    {split.name}: expected {split.expected}, found {found}")
