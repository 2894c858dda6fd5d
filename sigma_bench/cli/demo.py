"""``sigma-bench demo``: from nothing to a leaderboard on the mini world."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.data import write_with_progress
from sigma_bench.cli.evaluate import evaluate_with_progress
from sigma_bench.cli.pretrain import pretrain_with_progress
from sigma_bench.cli.table import show_board
from sigma_bench.specs import catalogue

RECIPES = ("mini_sigma_mlp", "mini_videomae")
WORLD_SEED = 0
BOARD = "mini"


def demo(
    output: Path = typer.Option(
        Path("results/demo"), help="Folder for the mini world, checkpoints, records and report."
    ),
    seeds: int = typer.Option(1, min=1, help="Pretraining seeds per recipe; each adds about two minutes."),
    suffix: str = typer.Option("", help="Recipe variant: '' for the demo's, '_long' for the longer ones."),
) -> None:
    """Write the mini world, pretrain SIGMA-MLP and VideoMAE, evaluate them beside controls, print the leaderboard.

    Everything is kept: a second call recomputes nothing, a killed one continues.
    """
    from sigma_bench.models.zoo import load_encoder

    recipes = [catalogue.load_recipe(f"{name}{suffix}") for name in RECIPES]
    world = output / "world"
    write_with_progress(world, WORLD_SEED)
    jobs = [(catalogue.resolve(catalogue.load_task(name)), world) for name in catalogue.load_suite("demo").tasks]
    controls = [f"statistics:{recipes[0].recipe}"]
    for seed in range(seeds):
        folders = [output / "checkpoints" / f"{recipe.recipe}-seed{seed}" for recipe in recipes]
        for recipe, folder in zip(recipes, folders, strict=True):
            pretrain_with_progress(recipe, world, folder, seed=seed)
        for name in (*map(str, folders), f"random:{recipes[0].recipe}", *(controls if seed == 0 else ())):
            evaluate_with_progress(load_encoder(name, seed=seed), jobs, output, seed=0)
    show_board(BOARD, output, world=world)
    out.print(f"report: {output / 'report.html'}")
