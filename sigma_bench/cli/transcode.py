"""``sigma-bench data transcode``: writes a copy of a dataset from which clips are read faster."""

import os
from pathlib import Path

import typer
from rich.markup import escape
from rich.progress import TextColumn

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, chosen_one
from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.specs.untrusted import one_line


def transcode(
    words: list[str] = typer.Argument(
        ..., metavar="[ROOT] [DATASET] OUTPUT", help=f"{WORDS} Then the folder to write, another data root."
    ),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    short_side: int = typer.Option(
        320, min=16, help="Largest length of the short side in pixels; smaller videos keep their size."
    ),
    keyframe_every: int = typer.Option(16, min=1, help="Largest number of frames from one key frame to the next."),
    crf: int = typer.Option(18, min=0, max=51, help="Constant rate factor of x264, from 0 (lossless) to 51 (worst)."),
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Number of processes."),
) -> None:
    """Write a copy of a dataset's videos with small frames and dense key frames to another data root.

    An interrupted run continues where it stopped.  Scores on the copy are marked as transcoded, because its pixels
    differ from those of the original; custom data become a CSV of another name.  The exit code is 1 if a video cannot
    be read.
    """
    from sigma_bench.data.transcoding import Transcoding, common_folder, custom_csv, transcode

    dataset, title, manifest = chosen_one(words[:-1], csv, folders)
    assert manifest.ledger is not None
    output, is_custom = Path(words[-1]), manifest.data_source == "user"
    source = common_folder(manifest) if is_custom else manifest.ledger.folder
    target = output if is_custom else output / source.name
    if target.resolve() == source.resolve():
        raise ValueError(f"{output}: these are the data themselves; choose another folder for the copy")
    how = Transcoding(short_side, keyframe_every, crf)
    failed = 0
    with progress_bars(TextColumn("{task.completed} of {task.total} videos")) as display:
        bar = display.add_task(
            f"transcoding {escape(one_line(title))}", total=sum(len(s.samples) for s in manifest.splits.values())
        )
        made(output)
        for name, reason in transcode(manifest, source, target, how, num_workers=num_workers):
            display.update(bar, advance=1)
            if reason is not None:
                failed += 1
                out.print_plain(f"{name}: {reason}")
    place = custom_csv(manifest, target) if is_custom else output
    out.print_plain(f"{dataset} is in {place}; {failed} videos could not be read")
    if failed:
        raise typer.Exit(1)
