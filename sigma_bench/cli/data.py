"""``sigma-bench data``: the group of commands for datasets, and the command that writes the mini world."""

from collections.abc import Sequence
from pathlib import Path

import typer

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.cli.describe import describe
from sigma_bench.cli.folders import made
from sigma_bench.cli.options import seed_option
from sigma_bench.cli.prepare import prepare
from sigma_bench.cli.show import show
from sigma_bench.cli.transcode import transcode
from sigma_bench.cli.verify import verify

app = typer.Typer(
    help="Describe, find, verify, show and transcode datasets, and write the mini world.", no_args_is_help=True
)
app.command("describe")(describe)
app.command("prepare")(prepare)
app.command("verify")(verify)
app.command("show")(show)
app.command("transcode")(transcode)


@app.command("mini")
def mini(
    root: Path = typer.Argument(..., help="Folder to write into, which becomes a data root."),
    seed: int = seed_option("Seed of the generator; the same seed gives the same bytes."),
) -> None:
    """Write the mini world: small generated versions of all datasets, in their official layouts."""
    from sigma_bench.miniworld.world import DATASETS

    write_with_progress(root, seed, DATASETS)
    out.print(f"mini world (seed {seed}) in {root}", soft_wrap=True, markup=False)


def write_with_progress(root: Path, seed: int, folders: Sequence[str]) -> None:
    """Write or complete the mini world or some of its folders, and show the progress."""
    from sigma_bench.miniworld.world import write_miniworld

    with progress_bars() as display:
        bar = display.add_task("mini world", total=1.0)
        for fraction in write_miniworld(made(root), seed, folders=folders):
            display.update(bar, completed=fraction)
        display.update(bar, completed=1.0)
