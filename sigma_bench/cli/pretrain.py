"""``sigma-bench pretrain``: pretrain a model from a recipe."""

import shlex
from pathlib import Path

import typer

from sigma_bench.api.progress import is_main_process
from sigma_bench.cli.console import out
from sigma_bench.cli.launcher import is_launched, run_on_processes
from sigma_bench.cli.options import nested_overrides, seed_option, whole_or_auto
from sigma_bench.specs.catalogue import load_dataset_file, load_recipe
from sigma_bench.specs.recipe import Recipe, overridden


def pretrain(
    recipe: str = typer.Argument(..., help="Name of a recipe in pretrain/, or a file such as mine.yaml."),
    data: Path = typer.Option(None, help="Root folder that holds the datasets of the recipe."),
    csv: Path = typer.Option(
        None,
        help="Custom videos in place of --data: a CSV with the column path (of a column split, train is used), or a "
        "list with one path per line.  Labels are not needed.",
    ),
    folders: Path = typer.Option(None, help="Custom videos in place of --data: a folder with any subfolders."),
    set_: list[str] = typer.Option(
        [],
        "--set",
        help="Key of the recipe to change, such as optim.epochs=5, optim.global_batch=16, encoder.image_size=112, or "
        "optim.steps=50 for the length in steps; repeatable.",
    ),
    init: str = typer.Option(
        None,
        help="Checkpoint to start from: run folder, or file of SIGMA or VideoMAE.  All of the model is loaded if it is "
        "of the recipe's method, otherwise the encoder; encoder:<checkpoint> loads the encoder alone.",
    ),
    output: Path = typer.Option(None, help="Folder of this run; default results/runs/<recipe>-seed<seed>."),
    seed: int = seed_option("Seed of weights, batches, clip starts, crops and masks."),
    teacher: str = typer.Option(
        None, help="For SIGMA-DINO: name or file of a model that replaces the teacher of the recipe."
    ),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    nproc: int = typer.Option(
        1, min=1, help="Number of processes on this machine, one per GPU; they share the global batch."
    ),
    accumulate: int = typer.Option(
        1, min=1, help="Number of micro-batches per step and process; more of them save memory."
    ),
    num_workers: str = typer.Option(
        "auto", help="Number of decoding processes per training process, or auto (processor cores minus one)."
    ),
    activation_checkpointing: bool = typer.Option(
        False, "--activation-checkpointing", help="Recompute activations: less memory for a third more computation."
    ),
) -> None:
    """Pretrain a model; an interrupted run continues, and a finished run is left as it is.

    For several machines, use torchrun: torchrun ... -m sigma_bench pretrain ...
    """
    spec, changes = load_recipe(recipe), nested_overrides(set_)
    overridden(spec, changes)  # a wrong key ends the command before its processes start
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.api import pretraining

    run = pretraining.pretrain(
        spec,
        data=data,
        csv=csv,
        folders=folders,
        overrides=changes,
        init=init,
        output=output,
        seed=seed,
        teacher=teacher,
        device=device,
        accumulate=accumulate,
        num_workers=whole_or_auto(num_workers),
        activation_checkpointing=activation_checkpointing,
    )
    if is_main_process():
        origin, failures = run.origin, run.decoding_failures
        if origin.videos is not None:
            out.print_plain(f"pretrained on {origin.videos}")
        if origin.init is not None:
            out.print_plain(f"started from {origin.init}")
        out.print_plain(f"checkpoint: {run.checkpoint}")
        if failures is not None:
            out.print_plain(f"videos left out because they cannot be read: {failures}")
        out.print_plain(f"next: {_next_command(run.folder, overridden(spec, changes), data)}")


def _next_command(run: Path, recipe: Recipe, data: Path | None) -> str:
    """A command that evaluates a run, on a dataset of its recipe if it has one."""
    command = ["sigma-bench", "evaluate", str(run)]
    tasks = (f"{dataset}/knn" for dataset in recipe.data.datasets if "knn" in load_dataset_file(dataset).tasks)
    if data is None or (task := next(tasks, None)) is None:
        return f"{shlex.join(command)} --csv CSV, where CSV lists other videos with labels"
    return shlex.join([*command, "--task", task, "--data", str(data)])
