"""``sigma-bench data show``: draws samples as the reader returns them."""

from pathlib import Path

import typer

from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, chosen_one
from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.cli.options import seed_option


def show(
    words: list[str] = typer.Argument(None, metavar="[ROOT] [DATASET]", help=WORDS),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    split: str = typer.Option(None, help="Split: train, test or all, if the data have it. Default: the first of them."),
    samples: int = typer.Option(10, min=1, help="Number of samples, drawn at random."),
    frames: int = typer.Option(8, min=1, help="Number of evenly spaced frames of each sample."),
    seed: int = seed_option("Seed of the random draw of samples."),
    output: Path = typer.Option(None, help="PNG file. Default: <dataset>-<split>.png in the current folder."),
) -> None:
    """Draw a contact sheet: frames of random samples with their labels and masks."""
    from sigma_bench.pictures.contact_sheet import contact_sheet, draw_samples

    dataset, _, manifest = chosen_one(words, csv, folders)
    found = next((one for one in manifest.splits.values() if split in (None, one.name)), None)
    if found is None:
        raise ValueError(f"--split {split}: {dataset} has {', '.join(manifest.splits)}")
    path = output or Path(f"{dataset}-{found.name}.png")
    if path.suffix != ".png":
        raise ValueError(f"--output {path}: the contact sheet is a PNG file; choose a name that ends in .png")
    made(path.parent)
    contact_sheet(draw_samples(found.samples, samples, seed), manifest, frames).save(path)
    out.print_plain(f"contact sheet: {path}")
