"""``sigma-bench demo``: pretraining, evaluation and a leaderboard on the mini world."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.cli.gallery import write_gallery
from sigma_bench.cli.suite_lines import run_and_show
from sigma_bench.cli.table import show_boards
from sigma_bench.resources import declarations
from sigma_bench.specs import catalogue
from sigma_bench.specs.board import load_board

RECIPES = ["mini_dino", "mini_sigma_dino", "mini_sigma_mlp", "mini_videomae"]
"""Default recipes; DINO is first because it is the teacher of SIGMA-DINO."""
CONTROLS = "mini_sigma_mlp"
"""Recipe that defines the geometry of the controls."""
WORLD_SEED = 0
BOARD = "mini"
PICTURED = "ucf101/knn"
"""Task whose clips are shown in the pictures of the models of the first seed."""
CLIP_BYTES = VIDEO_BYTES = 2**30


def demo(
    output: Path = typer.Option(
        Path("results/demo"), help="Folder for the mini world, checkpoints, records and report."
    ),
    seeds: int = typer.Option(1, min=1, help="Number of pretraining seeds per recipe; each adds about three minutes."),
    recipe: list[str] = typer.Option(RECIPES, help="Recipes to run; repeat the option for several."),
) -> None:
    """Write the mini world, pretrain DINO, SIGMA-DINO, SIGMA-MLP and VideoMAE, and evaluate them and controls.

    The table also shows the committed records of longer pretraining, which is not run.  All results are kept.  An
    interrupted demo continues; if the demo is finished, only tables and pictures are written again.
    """
    from sigma_bench.api.mini_world import mini_world
    from sigma_bench.api.open_suite import open_suite
    from sigma_bench.api.pretraining import pretrain
    from sigma_bench.data.evaluation_clips import ClipMemory
    from sigma_bench.data.examples import FrameCache
    from sigma_bench.models.zoo import load_encoder
    from sigma_bench.protocols.feature_cache import FeatureCache
    from sigma_bench.training.run_plan import RunOptions

    cache = FeatureCache(output / "features", ClipMemory(CLIP_BYTES))
    decoded = FrameCache(VIDEO_BYTES)
    recipes = [catalogue.load_recipe(name) for name in recipe]
    world = output / "world"
    tasks = [(catalogue.resolve(catalogue.load_task(name)), world) for name in catalogue.load_suite("demo").tasks]
    datasets = sorted({task.dataset.home for task, _ in tasks})
    _say(f"Mini world: small generated {', '.join(datasets)} in their official layouts, so nothing is downloaded")
    mini_world(made(world), datasets=datasets, seed=WORLD_SEED)
    for seed in range(seeds):
        folders = [output / "checkpoints" / f"{spec.recipe}-seed{seed}" for spec in recipes]
        for spec, folder in zip(recipes, folders, strict=True):
            _say(f"Pretraining without labels, with seed {seed}: {spec.summary}")
            pretrain(spec, data=world, output=folder, seed=seed, options=RunOptions(decoded=decoded))
        statistics = [f"statistics:{CONTROLS}"] if seed == 0 else []
        trained = list(map(str, folders))
        _say("Evaluation of frozen features; random weights and mean colours show what is possible without pretraining")
        for name in (*trained, f"random:{CONTROLS}", *statistics):
            with open_suite(load_encoder(name, seed=seed), tasks, output=output, device="cpu", cache=cache) as suite:
                run_and_show(suite)
        if seed == 0:
            _say("Pictures for the page: what prototypes stand for, and features over time")
            titles = load_board(BOARD).names
            write_gallery(trained, PICTURED, world, output, kinds=["prototypes", "features"], titles=titles)
    add_long_records(output)
    show_boards([BOARD], output, data=world, details=False)


def _say(words: str) -> None:
    """Print what the next step does."""
    out.print(words, style="bold", markup=False)


def add_long_records(output: Path) -> None:
    """Copy the committed records of the long recipes into the folder of the demo, so that its table shows them.

    Raises:
        ValueError: predictions of a committed record are missing.
    """
    from sigma_bench.records.store import Store

    committed = Path(declarations("results")) / "records"
    if not committed.is_dir():
        _say("Leaderboard of this run; the records of longer pretraining are part of the repository only")
        return
    tasks = catalogue.load_suite("demo").tasks
    source, target = Store(committed), Store(output)
    names = {f"{name}_long" for name in RECIPES}
    found = [record for _, record in source.records() if record.model.model in names and record.task.task in tasks]
    for record in found:
        kept = source.find_predictions(record.predictions)
        if kept is None:
            raise ValueError(
                f"{committed}: predictions of {record.model.model} are missing; check the folder out again"
            )
        target.add_reduced(record.predictions, kept[0])
        target.add(record)
    _say("Leaderboard of this run, beside committed records of longer pretraining (three seeds, not run here)")
