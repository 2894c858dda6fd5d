"""``sigma-bench data transcode``: writes a copy of a dataset from which clips are read faster."""

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
    dataset: str = typer.Argument(..., help="Name of a dataset card whose samples are video files."),
    output: Path = typer.Argument(..., help="Data root to write, different from the first."),
    short_side: int = typer.Option(
        320, min=16, help="Largest length of the short side in pixels; smaller videos keep their size."
    ),
    keyframe_every: int = typer.Option(16, min=1, help="Number of frames from one key frame to the next."),
    crf: int = typer.Option(18, min=0, max=51, help="Constant rate factor of x264, from 0 (lossless) to 51 (worst)."),
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Number of processes."),
) -> None:
    """Write a copy of a dataset's videos with small frames and dense key frames to another data root.

    An interrupted run continues where it stopped.  Scores on the copy are marked as transcoded, because its pixels
    differ from those of the original.  The exit code is 1 if a video cannot be read.
    """
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.data.transcoding import Transcoding, transcode

    card = catalogue.load_dataset(dataset)
    if output.resolve() == root.resolve():
        raise ValueError(f"{output}: this is the data root itself; choose another folder for the copy")
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
    out.print(f"{dataset} is in {output}; {failed} videos could not be read", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(1)
