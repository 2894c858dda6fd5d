"""``sigma-bench data bench``: how many clips a second your files give, and how many workers a GPU needs."""

import os
from pathlib import Path

import typer
from rich.table import Table

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.specs import catalogue


def bench_loading(
    root: Path = typer.Argument(..., help="Data root."),
    dataset: str = typer.Argument(..., help="A dataset card whose samples are video files."),
    num_workers: list[int] = typer.Option(None, min=1, help="Numbers of workers; default: one and one per processor."),
    clips: int = typer.Option(32, min=1, help="Of a round; their videos are drawn at random from the train split."),
    rounds: int = typer.Option(3, min=1, help="Each runs every side once."),
    frames: int = typer.Option(16, min=1, help="Of a clip."),
    stride: int = typer.Option(4, min=1, help="Frames from one to the next."),
    size: int = typer.Option(224, min=16, help="Pixels of a clip's side."),
    output: Path = typer.Option(Path("results/benchmarks"), help="Folder for a JSON and a Markdown file."),
) -> None:
    """Measure how fast pretraining clips are read: by us, by a plain loop over decord, and at best."""
    from sigma_bench.bench.loading import Pattern, measure_loading
    from sigma_bench.bench.loading_result import COLUMNS, facts, markdown, rows, slug, title
    from sigma_bench.data.catalogue import open_dataset
    from sigma_bench.pictures.contact_sheet import draw_samples
    from sigma_bench.records.store import write_atomically

    manifest = open_dataset(catalogue.load_dataset(dataset), root)
    train = next(iter(manifest.splits.values()))
    present = [sample for sample in train.samples if sample.media == "video" and sample.path.exists()]
    if not present:
        raise ValueError(f"{root}: {dataset} has no video files of its {train.name} split here; nothing to measure")
    made(output)
    with progress_bars() as display:
        bar = display.add_task(f"reading {dataset}", total=rounds)
        result = measure_loading(
            manifest,
            draw_samples(present, clips, seed=0),
            workers=num_workers or sorted({1, os.cpu_count() or 1}),
            clips=clips,
            rounds=rounds,
            pattern=Pattern(frames, stride, size),
            report=lambda name, done, total: display.update(
                bar, description=f"reading {dataset}  {name}", completed=done
            ),
        )
        display.update(bar, description=f"reading {dataset}", completed=rounds)
    listing = Table(box=None, header_style="bold", pad_edge=False, title=title(result), title_justify="left")
    for index, column in enumerate(COLUMNS):
        listing.add_column(column, justify="left" if index in (0, 4, 7, 8) else "right", overflow="fold")
    for row in rows(result):
        listing.add_row(*row)
    out.print(listing)
    for label, sentence in facts(result):
        out.print(f"[bold]{label}[/]  {sentence}", soft_wrap=True)
    path = output / slug(result)
    write_atomically(path.with_suffix(".json"), (result.model_dump_json(indent=1) + "\n").encode())
    write_atomically(path.with_suffix(".md"), markdown(result).encode())
    out.print(f"written: {path}.json and .md", soft_wrap=True, markup=False)
