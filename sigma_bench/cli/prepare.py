"""``sigma-bench data prepare``: which datasets and files exist, which are missing, and where to get them."""

import json
from pathlib import Path

import typer
from rich.table import Table

from sigma_bench.cli.console import out
from sigma_bench.data.inventory import Inventory, cards_below, manifest_rows, take_inventory
from sigma_bench.data.manifest import DECLARATION
from sigma_bench.records.store import write_atomically
from sigma_bench.specs import catalogue

SHOWN_MISSING = 3


def prepare(
    root: Path = typer.Argument(..., help="Data root, which contains one folder per dataset."),
    dataset: list[str] = typer.Argument(None, help="Names of dataset cards. Default: all."),
) -> None:
    """Read the official lists, look for the files that they name, and write a manifest of each dataset into the root.

    The exit code is 1 if a named dataset is not complete or, without names, if a dataset in the root is not complete.
    """
    inventories = [take_inventory(catalogue.load_dataset(name), root) for name in dataset or catalogue.dataset_names()]
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dataset", "split", "expected", "listed", "found", "missing"):
        listing.add_column(column, justify="left" if column in ("dataset", "split") else "right", overflow="fold")
    for inventory in inventories:
        _add_rows(listing, inventory)
    out.print(listing)
    for inventory in inventories:
        if inventory.manifest is not None:
            _write(inventory, root)
        if not inventory.is_complete:
            _say_what_to_do(inventory, root)
    wanted = dataset or [card.dataset for card in cards_below(root)]
    if not all(inventory.is_complete for inventory in inventories if inventory.card.dataset in wanted):
        raise typer.Exit(1)


def _add_rows(listing: Table, inventory: Inventory) -> None:
    name = inventory.card.dataset
    if inventory.manifest is None:
        listing.add_row(name, "[dim]missing or unreadable[/]")
        return
    for split in inventory.manifest.splits.values():
        missing = len(split.missing)
        counts = (split.expected, len(split.samples), len(split.samples) - missing, missing)
        listing.add_row(name, split.name, *(f"{count:,}" for count in counts), style="yellow" if missing else None)


def _write(inventory: Inventory, root: Path) -> None:
    assert inventory.manifest is not None
    path = root / f"{inventory.card.dataset}.manifest.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) for row in manifest_rows(inventory.manifest, root))
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _say_what_to_do(inventory: Inventory, root: Path) -> None:
    card = inventory.card
    out.print(f"\n[bold]{card.title}[/] ({card.dataset})", soft_wrap=True)
    if inventory.problem is not None:
        out.print(f"  {inventory.problem}", soft_wrap=True, markup=False)
        out.print(f"  licence: {card.licence}", soft_wrap=True, markup=False)
        return
    assert inventory.manifest is not None
    for split in inventory.manifest.splits.values():
        if len(split.samples) != split.expected:
            out.print(
                f"  {split.name}: the list names {len(split.samples):,} samples, the official one {split.expected:,}; "
                f"if it was shortened on purpose, declare that in {root / card.home / DECLARATION}",
                soft_wrap=True,
                markup=False,
            )
        if split.missing:
            first = ", ".join(str(sample.path) for sample in split.missing[:SHOWN_MISSING])
            more = f" and {len(split.missing) - SHOWN_MISSING:,} more" if len(split.missing) > SHOWN_MISSING else ""
            sentence = f'  {split.name}: missing {first}{more} ("found": false in {card.dataset}.manifest.jsonl)'
            out.print(sentence, soft_wrap=True, markup=False)
