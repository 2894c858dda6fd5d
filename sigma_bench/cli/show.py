"""``sigma-bench data show``: draws samples as the reader returns them."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.cli.options import seed_option
from sigma_bench.specs import catalogue


def show(
    root: Path = typer.Argument(..., help="Data root."),
    dataset: str = typer.Argument(..., help="Name of a dataset card."),
    split: str = typer.Option("train", help="Split: train, test or all, if the card has it."),
    samples: int = typer.Option(10, min=1, help="Number of samples, drawn at random."),
    frames: int = typer.Option(8, min=1, help="Number of evenly spaced frames of each sample."),
    seed: int = seed_option("Seed of the random draw of samples."),
    output: Path = typer.Option(None, help="PNG file. Default: <dataset>-<split>.png in the current folder."),
) -> None:
    """Draw a contact sheet: frames of random samples with their labels and masks."""
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.pictures.contact_sheet import contact_sheet, draw_samples

    manifest = open_dataset(catalogue.load_dataset(dataset), root)
    chosen = next((found for name, found in manifest.splits.items() if name == split), None)
    if chosen is None:
        raise ValueError(f"--split {split}: {dataset} has {', '.join(manifest.splits)}")
    path = output or Path(f"{dataset}-{split}.png")
    if path.suffix != ".png":
        raise ValueError(f"--output {path}: the contact sheet is a PNG file; choose a name that ends in .png")
    made(path.parent)
    contact_sheet(draw_samples(chosen.samples, samples, seed), manifest, frames).save(path)
    out.print(f"contact sheet: {path}", soft_wrap=True, markup=False)
