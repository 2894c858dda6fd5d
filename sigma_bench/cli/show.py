"""``sigma-bench data show``: draw samples of a dataset as its reader returns them."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.cli.options import seed_option
from sigma_bench.specs import catalogue


def show(
    root: Path = typer.Argument(..., help="Data root."),
    dataset: str = typer.Argument(..., help="A dataset card."),
    split: str = typer.Option("train", help="train, test or all, as the card has them."),
    samples: int = typer.Option(10, min=1, help="Number of samples, drawn at random."),
    frames: int = typer.Option(8, min=1, help="Frames of each sample, evenly spread."),
    seed: int = seed_option("Draws the samples."),
    output: Path = typer.Option(None, help="PNG file; default: <dataset>-<split>.png here."),
) -> None:
    """Draw a contact sheet: frames of sampled clips, their labels, and masks where there are any."""
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.pictures.contact_sheet import contact_sheet, draw_samples

    manifest = open_dataset(catalogue.load_dataset(dataset), root)
    chosen = next((found for name, found in manifest.splits.items() if name == split), None)
    if chosen is None:
        raise ValueError(f"--split {split}: {dataset} has {', '.join(manifest.splits)}")
    path = output or Path(f"{dataset}-{split}.png")
    if path.suffix != ".png":
        raise ValueError(f"--output {path}: the sheet is a PNG, so let its name end in .png")
    made(path.parent)
    contact_sheet(draw_samples(chosen.samples, samples, seed), manifest, frames).save(path)
    out.print(f"contact sheet: {path}", soft_wrap=True, markup=False)
