"""``sigma-bench pretrain``: run a recipe, or continue it."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.progress import TextColumn

from sigma_bench.api.jobs import RUNS
from sigma_bench.api.progress import is_main_process, progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.options import seed_option
from sigma_bench.cli.processes import is_launched, run_on_processes
from sigma_bench.failures import unexpected_errors_logged
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import Recipe

if TYPE_CHECKING:
    from sigma_bench.training.batches import RunOptions
    from sigma_bench.training.monitoring import Progress


def pretrain(
    recipe: str = typer.Argument(..., help="Name of a recipe in pretrain/, or a file such as mine.yaml."),
    data: Path = typer.Option(..., help="Data root that holds the recipe's datasets."),
    output: Path = typer.Option(None, help="Folder of this run; default results/runs/<recipe>-seed<seed>."),
    seed: int = seed_option("Draws weights, batches, clip starts, crops and masks."),
    teacher: str = typer.Option(None, help="SIGMA-DINO: model name or file in place of the recipe's teacher."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    nproc: int = typer.Option(1, min=1, help="Processes on this machine, one per GPU; the global batch stays."),
    accumulate: int = typer.Option(1, min=1, help="Micro-batches per step and process, to save memory."),
    num_workers: int = typer.Option(0, min=0, help="Processes that decode videos, per training process."),
    activation_checkpointing: bool = typer.Option(
        False, "--activation-checkpointing", help="Less memory, a third more computation."
    ),
) -> None:
    """Pretrain a model; a run that was stopped continues, a finished one is left alone.

    Also runs under torchrun (several machines): torchrun ... -m sigma_bench pretrain ...
    """
    spec = load_recipe(recipe)
    if nproc > 1 and not is_launched():
        raise typer.Exit(run_on_processes(nproc))
    from sigma_bench.training.batches import RunOptions
    from sigma_bench.training.broken import BROKEN_NAME

    folder = output or RUNS / f"{spec.recipe}-seed{seed}"
    options = RunOptions(
        num_micro_batches=accumulate, num_workers=num_workers, activation_checkpointing=activation_checkpointing
    )
    path = pretrain_with_progress(spec, data, folder, seed=seed, teacher=teacher, device=device, options=options)
    if is_main_process():
        out.print(f"checkpoint: {path}", soft_wrap=True, markup=False)
        if (broken := folder / BROKEN_NAME).exists():
            out.print(f"videos left out because they cannot be read: {broken}", soft_wrap=True, markup=False)


def pretrain_with_progress(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    seed: int,
    teacher: str | None = None,
    device: str = "auto",
    options: "RunOptions | None" = None,
) -> Path:
    """Run a recipe showing loss, speed, time left, the share of time spent waiting for data, and the monitors."""
    from sigma_bench.training.batches import RunOptions
    from sigma_bench.training.pretraining import pretrain as run

    with progress_bars(TextColumn("{task.fields[numbers]}"), disable=not is_main_process()) as display:
        bar = display.add_task(f"{recipe.recipe}, seed {seed}", total=None, numbers="reading videos")

        def report(state: "Progress") -> None:
            display.update(bar, total=state.num_steps, completed=state.step, numbers=_numbers(state))

        options = options or RunOptions()
        with unexpected_errors_logged(folder, recipe.recipe):
            path = run(recipe, data, folder, seed=seed, teacher=teacher, device=device, options=options, report=report)
        display.update(bar, total=1, completed=1) if display.tasks[0].total is None else None
    return path


def _numbers(state: "Progress") -> str:
    monitors = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in state.monitors.items()]
    if state.num_broken:
        monitors.append(f"{state.num_broken} videos left out")
    speed = f"{state.clips_per_second:.0f} clips/s  wait {state.waiting_share:.0%}"
    return "  ".join([f"loss {state.loss:.2f}", speed, *monitors])
