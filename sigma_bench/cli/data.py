"""``sigma-bench data``: one verb per file, and the mini world."""

from collections.abc import Sequence
from pathlib import Path

import typer

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.folders import made
from sigma_bench.cli.options import seed_option
from sigma_bench.cli.prepare import prepare
from sigma_bench.cli.show import show
from sigma_bench.cli.transcode import transcode
from sigma_bench.cli.verify import verify

app = typer.Typer(help="Look after the data: what is there, whether it is sound, how it looks.", no_args_is_help=True)
app.command("prepare")(prepare)
app.command("verify")(verify)
app.command("show")(show)
app.command("transcode")(transcode)


@app.command("mini")
def mini(
    root: Path = typer.Argument(..., help="Folder to write into; becomes a data root."),
    seed: int = seed_option("Same seed, same bytes."),
) -> None:
    """Write the mini world: all datasets in their official layouts, as real encoded files."""
    from sigma_bench.miniworld.world import DATASETS

    write_with_progress(root, seed, DATASETS)
    out.print(f"mini world (seed {seed}) in {root}", soft_wrap=True, markup=False)


def write_with_progress(root: Path, seed: int, folders: Sequence[str]) -> None:
    """Write or complete the mini world or some folders of it, showing how far it is."""
    from sigma_bench.miniworld.world import write_miniworld

    with progress_bars() as display:
        bar = display.add_task("mini world", total=1.0)
        for share in write_miniworld(made(root), seed, folders=folders):
            display.update(bar, completed=share)
        display.update(bar, completed=1.0)
