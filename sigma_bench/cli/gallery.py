"""``sigma-bench gallery``: pictures of the features of models, for the page and for papers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.options import seed_option
from sigma_bench.resources import RUNS
from sigma_bench.specs import catalogue


def gallery(
    model: list[str] = typer.Argument(..., help="Models, named as for 'evaluate'; prototypes need a SIGMA run."),
    data: Path = typer.Option(None, help="Data root that holds the task's dataset, unless it is a custom dataset."),
    output: Path = typer.Option(RUNS, help="Folder of the records; pictures go to its figures/."),
    task: str = typer.Option("ucf101/knn", help="kNN task: its dataset is shown, its protocol finds neighbours."),
    picture: list[str] = typer.Option(
        ["prototypes", "features", "neighbours"], help="Which pictures; repeat the option for several."
    ),
    teacher: str = typer.Option(None, help="Model that replaces the teacher of a SIGMA-DINO recipe."),
    seed: int = seed_option("Seed for the choice of clips."),
    device: str = typer.Option("cpu", help="cpu or cuda."),
) -> None:
    """Draw prototypes with their nearest tubes, feature maps over time, and nearest neighbours.

    'sigma-bench table' shows them on its page.  Features that 'evaluate' cached in the same folder are reused.
    """
    write_gallery(model, task, data, output, kinds=picture, teacher=teacher, seed=seed, device=device)


def write_gallery(
    names: Sequence[str],
    task: str,
    data: Path | None,
    output: Path,
    *,
    kinds: Sequence[str],
    teacher: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    titles: Mapping[str, str] | None = None,
) -> None:
    """Draw pictures and name every file that was written; ``titles`` are those of ``draw_gallery``."""
    from sigma_bench.pictures.gallery import draw_gallery
    from sigma_bench.pictures.saved_pictures import FOLDER, save_picture
    from sigma_bench.protocols.feature_cache import FeatureCache

    resolved, cache = catalogue.resolve(catalogue.load_task(task)), FeatureCache(output / "features")
    drawn = draw_gallery(
        names,
        resolved,
        data,
        cache,
        kinds=kinds,
        teacher=teacher,
        seed=seed,
        device=device,
        titles=titles,
        report=out.print,
    )
    for picture in drawn:
        path = output / FOLDER / f"{picture.stem}.png"
        save_picture(path, picture.image, picture.heading, picture.caption)
        out.print_plain(str(path))
