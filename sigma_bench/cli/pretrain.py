"""``sigma-bench pretrain``: run a recipe, or continue it."""

from pathlib import Path

import typer
from rich.progress import TextColumn

from sigma_bench.cli.console import out, progress
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import Recipe


def pretrain(
    recipe: str = typer.Argument(..., help="Name of a recipe in pretrain/, or a path ending in .yaml."),
    data: Path = typer.Option(..., help="Data root that holds the recipe's datasets."),
    output: Path = typer.Option(None, help="Folder of this run; default results/runs/<recipe>-seed<seed>."),
    seed: int = typer.Option(0, help="Draws weights, batches, clip starts and masks."),
    pieces: int = typer.Option(1, min=1, help="Compute each global batch in so many pieces, to save memory."),
) -> None:
    """Pretrain a model; a run that was stopped continues, a finished one is left alone."""
    spec = load_recipe(recipe)
    folder = output or Path("results/runs") / f"{spec.recipe}-seed{seed}"
    out.print(f"checkpoint: {pretrain_with_progress(spec, data, folder, seed=seed, pieces=pieces)}")


def pretrain_with_progress(recipe: Recipe, data: Path, folder: Path, *, seed: int, pieces: int = 1) -> Path:
    """Run a recipe showing loss, speed, time left and prototypes in use."""
    from sigma_bench.runs.pretrain import pretrain as run
    from sigma_bench.training.loop import Progress

    with progress(TextColumn("{task.fields[numbers]}")) as display:
        bar = display.add_task(f"pretrain {recipe.recipe} (seed {seed})", total=None, numbers="reading videos")

        def report(state: Progress) -> None:
            used = "" if state.prototypes_used is None else f"  {state.prototypes_used} prototypes"
            numbers = f"loss {state.loss:.3f}  {state.clips_per_second:.0f} clips/s{used}"
            display.update(bar, total=state.num_steps, completed=state.step, numbers=numbers)

        path = run(recipe, data, folder, seed=seed, num_pieces=pieces, report=report)
        display.update(bar, total=1, completed=1) if display.tasks[0].total is None else None
    return path
