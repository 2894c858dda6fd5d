"""``sigma-bench data``: the group of commands for datasets, and the command that writes the mini world."""

from pathlib import Path

import typer

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
    from sigma_bench.api.mini_world import mini_world

    mini_world(made(root), seed=seed)
    out.print(f"mini world (seed {seed}) in {root}", soft_wrap=True, markup=False)
