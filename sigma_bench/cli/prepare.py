"""``sigma-bench data prepare``: which datasets and files exist, which are missing, and where to get them."""

import json
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, require_named, root_and_names
from sigma_bench.cli.console import out
from sigma_bench.data.inventory import Inventory, cards_below, custom_inventory, manifest_rows, take_inventory
from sigma_bench.data.manifest import DECLARATION
from sigma_bench.records.store import write_atomically
from sigma_bench.specs import catalogue
from sigma_bench.specs.text import one_line

SHOWN_MISSING = 3


def prepare(
    words: list[str] = typer.Argument(
        None, metavar="[ROOT] [DATASET]...", help=f"{WORDS} Without names: all datasets."
    ),
    csv: Path = CSV,
    folders: Path = FOLDERS,
) -> None:
    """Read the lists of datasets, look for the files that they name, and write a manifest of each dataset.

    Manifests are written into the data root, or beside custom data.  The exit code is 1 if a named dataset is not
    complete or, without names, if a dataset in the root is not complete.
    """
    require_named(words, csv, folders)
    root, dataset = root_and_names(words or ())
    if csv is not None or folders is not None:
        inventories = [custom_inventory(csv, folders)]
    else:
        names = dataset or catalogue.dataset_names()
        inventories = [take_inventory(catalogue.load_dataset(name), root) for name in names]
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dataset", "split", "expected", "listed", "found", "missing"):
        listing.add_column(column, justify="left" if column in ("dataset", "split") else "right", overflow="fold")
    for inventory in inventories:
        _add_rows(listing, inventory)
    out.print(listing)
    for inventory in inventories:
        if inventory.manifest is not None:
            _write(inventory)
        if not inventory.is_complete:
            _say_what_to_do(inventory)
    everything = [inventory.card for inventory in inventories] if root is None else cards_below(root)
    wanted = dataset or [card.dataset for card in everything]
    if not all(inventory.is_complete for inventory in inventories if inventory.card.dataset in wanted):
        raise typer.Exit(1)


def _add_rows(listing: Table, inventory: Inventory) -> None:
    name = escape(one_line(inventory.card.dataset))
    if inventory.manifest is None:
        listing.add_row(name, "[dim]missing or unreadable[/]")
        return
    for split in inventory.manifest.splits.values():
        missing = len(split.missing)
        counts = (split.expected, len(split.samples), len(split.samples) - missing, missing)
        listing.add_row(name, split.name, *(f"{count:,}" for count in counts), style="yellow" if missing else None)


def _write(inventory: Inventory) -> None:
    """Write the manifest beside the ledger, which is in the data root or beside custom data."""
    assert inventory.manifest is not None and inventory.manifest.ledger is not None
    folder = inventory.manifest.ledger.file.parent
    path = folder / f"{inventory.card.dataset}.manifest.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) for row in manifest_rows(inventory.manifest, folder))
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _say_what_to_do(inventory: Inventory) -> None:
    card = inventory.card
    out.print(f"\n[bold]{escape(one_line(card.title))}[/] ({escape(one_line(card.dataset))})", soft_wrap=True)
    if inventory.problem is not None:
        out.print(f"  {inventory.problem}", soft_wrap=True, markup=False)
        out.print(f"  licence: {card.licence}", soft_wrap=True, markup=False)
        return
    assert inventory.manifest is not None and inventory.manifest.ledger is not None
    for split in inventory.manifest.splits.values():
        if len(split.samples) != split.expected:
            out.print(
                f"  {split.name}: the list names {len(split.samples):,} samples, the official one {split.expected:,}; "
                f"if it was shortened on purpose, declare that in {inventory.manifest.ledger.folder / DECLARATION}",
                soft_wrap=True,
                markup=False,
            )
        if split.missing:
            first = ", ".join(str(sample.path) for sample in split.missing[:SHOWN_MISSING])
            more = f" and {len(split.missing) - SHOWN_MISSING:,} more" if len(split.missing) > SHOWN_MISSING else ""
            sentence = f'  {split.name}: missing {first}{more} ("found": false in {card.dataset}.manifest.jsonl)'
            out.print(sentence, soft_wrap=True, markup=False)
