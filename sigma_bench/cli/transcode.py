"""``sigma-bench data transcode``: a copy of a dataset that is cheap to read clips from."""

import os
from pathlib import Path

import typer
from rich.progress import TextColumn

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.specs import catalogue


def transcode(
    root: Path = typer.Argument(..., help="Data root."),
    dataset: str = typer.Argument(..., help="A dataset card whose samples are video files."),
    output: Path = typer.Argument(..., help="Another data root, to be written."),
    short_side: int = typer.Option(320, min=16, help="Pixels; smaller videos keep their size."),
    keyframe_every: int = typer.Option(16, min=1, help="Frames between key frames."),
    crf: int = typer.Option(18, min=0, max=51, help="x264's quality: 0 loses nothing, 51 is worst."),
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes."),
) -> None:
    """Write videos again with small frames and dense key frames, below another root; a stopped run continues.

    Scores on the copy are marked: other pixels are another dataset.  Exit code 1 when a video could not be read.
    """
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.data.transcoding import Transcoding, transcode

    card = catalogue.load_dataset(dataset)
    if output.resolve() == root.resolve():
        raise ValueError(f"{output}: the copy needs a root of its own")
    manifest = open_dataset(card, root)
    how = Transcoding(short_side, keyframe_every, crf)
    failed = 0
    with progress_bars(TextColumn("{task.completed} of {task.total} videos")) as display:
        bar = display.add_task(f"transcoding {card.title}", total=sum(len(s.samples) for s in manifest.splits.values()))
        for name, reason in transcode(
            manifest, root / card.home, made(output) / card.home, how, num_workers=num_workers
        ):
            display.advance(bar)
            if reason is not None:
                failed += 1
                out.print(f"{name}: {reason}", soft_wrap=True, markup=False)
    out.print(f"{dataset} in {output}; {failed} videos could not be read", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)
