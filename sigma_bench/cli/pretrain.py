"""``sigma-bench pretrain``: pretrain a model from a recipe."""

from pathlib import Path

import typer

from sigma_bench.api.progress import is_main_process
from sigma_bench.cli.console import out
from sigma_bench.cli.launcher import is_launched, run_on_processes
from sigma_bench.cli.options import seed_option, whole_or_auto
from sigma_bench.specs.catalogue import load_recipe


def pretrain(
    recipe: str = typer.Argument(..., help="Name of a recipe in pretrain/, or a file such as mine.yaml."),
    data: Path = typer.Option(..., help="Root folder that holds the datasets of the recipe."),
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
    spec = load_recipe(recipe)
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.api import pretraining

    run = pretraining.pretrain(
        spec,
        data=data,
        output=output,
        seed=seed,
        teacher=teacher,
        device=device,
        accumulate=accumulate,
        num_workers=whole_or_auto(num_workers),
        activation_checkpointing=activation_checkpointing,
    )
    if is_main_process():
        out.print(f"checkpoint: {run.checkpoint}", soft_wrap=True, markup=False)
        if run.broken_videos is not None:
            out.print(f"videos left out because they cannot be read: {run.broken_videos}", soft_wrap=True, markup=False)
