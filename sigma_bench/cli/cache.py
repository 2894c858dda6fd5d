"""``sigma-bench cache``: list and remove the cached features on this disk."""

import shutil
from datetime import datetime
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from sigma_bench.cli.console import out
from sigma_bench.resources import RUNS

app = typer.Typer(help="List or remove cached features; they are computed again when they are needed.")
OUTPUT = typer.Option(RUNS, help="Folder of evaluations, which holds 'features'.")
ID_LENGTH = 8


@app.command("ls")
def ls(output: Path = OUTPUT) -> None:
    """List the cached features in the order of their last write."""
    from sigma_bench.protocols.block_store import cache_entries

    entries = cache_entries(output / "features")
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "size", "last written", "model", "split", "from"):
        listing.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for entry in entries:
        description = entry.description
        written = datetime.fromtimestamp(entry.written).strftime("%Y-%m-%d %H:%M")
        split = f"{description['split']} ({description['samples']})"
        size = _size(entry.num_bytes)
        listing.add_row(
            entry.folder.name[:ID_LENGTH],
            size,
            written,
            escape(description["model"]),
            split,
            escape(description["from"]),
        )
    out.print(listing)
    out.print(f"{len(entries)} entries, {_size(sum(entry.num_bytes for entry in entries))}")


@app.command("rm")
def rm(
    names: list[str] = typer.Argument(
        None, metavar="ID...", help="Ids as listed by 'cache ls', or their first characters."
    ),
    model: str = typer.Option(None, help="Remove all features of this model."),
    everything: bool = typer.Option(False, "--all", help="Remove all features."),
    output: Path = OUTPUT,
) -> None:
    """Remove cached features."""
    from sigma_bench.protocols.block_store import cache_entries

    entries = cache_entries(output / "features")
    wanted = [
        entry
        for entry in entries
        if everything
        or (model is not None and entry.description["model"] == model)
        or any(entry.folder.name.startswith(name) for name in names or [])
    ]
    if not wanted:
        raise ValueError(
            f"{output / 'features'}: none of the {len(entries)} entries is selected; give ids, --model or --all"
        )
    for entry in wanted:
        shutil.rmtree(entry.folder)
    out.print(f"removed {len(wanted)} entries, {_size(sum(entry.num_bytes for entry in wanted))}")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MiB" if num_bytes < 2**30 else f"{num_bytes / 2**30:.1f} GiB"
