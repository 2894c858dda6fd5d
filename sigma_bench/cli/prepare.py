"""``sigma-bench data prepare``: which datasets and files exist, which are missing, and where to get them."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, require_named, root_and_names
from sigma_bench.cli.console import out
from sigma_bench.cli.layout_lines import found_lines, layout_tree, missing_lines, source_lines
from sigma_bench.data.inventory import Inventory, cards_below, custom_inventory, manifest_rows, take_inventory
from sigma_bench.data.layout_links import Proposal, make_links, propose
from sigma_bench.data.layout_search import Search, layouts_of, search
from sigma_bench.data.manifest import DECLARATION
from sigma_bench.records.store import write_atomically
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import CUSTOM_READER
from sigma_bench.specs.untrusted import one_line


def prepare(
    words: list[str] = typer.Argument(
        None, metavar="[ROOT] [DATASET]...", help=f"{WORDS} Without names: all datasets."
    ),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    link: bool = typer.Option(
        False, "--link", help="Make symbolic links in the data root to what was found, which give the official layout."
    ),
    start: Path = typer.Option(
        None, "--from", help="Folder to search for datasets in another layout. Default: the data root."
    ),
) -> None:
    """Read the lists of datasets, look for the files that they name, and write a manifest of each dataset.

    Manifests are written into the data root, or beside custom data.  If a dataset is not complete, its official layout
    is printed, and its files are looked for under other names, down to a few levels.  Nothing is copied, moved or
    overwritten.  The exit code is 1 if a named dataset is not complete or, without names, if a dataset in the root is
    not complete.
    """
    require_named(words, csv, folders)
    root, dataset = root_and_names(words or ())
    if root is None and (link or start):
        raise ValueError("--link and --from are for datasets below a data root; name one")
    if root is None:
        inventories = _prepare_custom(csv, folders, dataset)
        wanted = list(inventories)
    else:
        inventories = _prepare_root(root, dataset, start, link=link)
        wanted = dataset or [card.dataset for card in cards_below(root)]
    if not all(inventories[name].is_complete for name in wanted):
        raise typer.Exit(1)


def _prepare_custom(csv: Path | None, folders: Path | None, names: Sequence[str]) -> dict[str, Inventory]:
    """Prepare custom data, given by path or by the names of custom datasets."""
    if names:
        inventories = _inventories(names, None)
    else:
        given = custom_inventory(csv, folders)
        inventories = {given.card.dataset: given}
    _print_table(inventories.values(), None)
    for inventory in inventories.values():
        _write(inventory)
        _print_custom(inventory)
    return inventories


def _prepare_root(root: Path, names: Sequence[str], start: Path | None, *, link: bool) -> dict[str, Inventory]:
    """Prepare the named datasets of a data root, or all."""
    inventories = _inventories(names, root)
    searched, proposals = _search(inventories, root, start or root)
    if link and proposals:
        _link(proposals)
        inventories = _inventories(names, root)
        searched, proposals = _search(inventories, root, start or root)
    _print_table(inventories.values(), root)
    for inventory in inventories.values():
        _write(inventory)
        if inventory.card.reader == CUSTOM_READER:
            _print_custom(inventory)
    _print_incomplete(inventories, proposals, root, is_named=bool(names))
    _print_way_on(searched, proposals, root, names, start, link=link)
    return inventories


def _inventories(names: Sequence[str], root: Path | None) -> dict[str, Inventory]:
    """Name -> inventory of the named datasets, or of all."""
    return {name: take_inventory(catalogue.load_dataset(name), root) for name in names or catalogue.dataset_names()}


def _print_way_on(
    searched: Search | None,
    proposals: Mapping[str, Proposal],
    root: Path,
    dataset: Sequence[str],
    start: Path | None,
    *,
    link: bool,
) -> None:
    """Say where the search stopped, and the command that makes the links."""
    for limit in searched.limits if searched and any(proposal.lacking for proposal in proposals.values()) else ():
        _line(
            f"The search below {start or root} may have missed something ({limit}); --from names a folder to search.",
            indent=0,
        )
    if any(proposal.links for proposal in proposals.values()) and not link:
        given = [str(root), *dataset, "--link", *(("--from", str(start)) if start else ())]
        _line("\nThis command makes the links, without copying or moving anything:", indent=0)
        _line(f"sigma-bench data prepare {shlex.join(given)}")


def _search(inventories: Mapping[str, Inventory], root: Path, start: Path) -> tuple[Search | None, dict[str, Proposal]]:
    """Search for the datasets that are not complete; their proposals by folder."""
    if not start.is_dir():
        raise ValueError(f"--from {start}: there is no such folder")
    official = _official(inventories)
    incomplete = {inventory.card.home for inventory in official.values() if not inventory.is_complete}
    if not incomplete:
        return None, {}
    everything = [catalogue.load_dataset_file(name) for name in catalogue.dataset_names()]
    files = [
        file
        for file in everything
        if file.reader != CUSTOM_READER and (file.dataset in official or file.home not in incomplete)
    ]
    layouts = layouts_of(files, root)
    found = search(layouts, start)
    return found, {layout.home.name: propose(layout, found) for layout in layouts if layout.home.name in incomplete}


def _official(inventories: Mapping[str, Inventory]) -> dict[str, Inventory]:
    return {name: found for name, found in inventories.items() if found.card.reader != CUSTOM_READER}


def _link(proposals: Mapping[str, Proposal]) -> None:
    """Make the links of all proposals; a link that cannot be made is named and does not stop the others."""
    for proposal in proposals.values():
        try:
            for path, text in make_links(proposal):
                _line(f"linked {path} -> {text}", indent=0)
        except ValueError as error:
            _line(f"not linked: {error}", indent=0)


def _print_table(inventories: Iterable[Inventory], root: Path | None) -> None:
    """Print the numbers of samples of the datasets that are there."""
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dataset", "split", "expected", "listed", "found", "missing"):
        listing.add_column(column, justify="left" if column in ("dataset", "split") else "right", overflow="fold")
    for inventory in inventories:
        if root is None or inventory.manifest is not None or (root / inventory.card.home).is_dir():
            _add_rows(listing, inventory)
    if listing.row_count:
        out.print(listing)


def _add_rows(listing: Table, inventory: Inventory) -> None:
    name = escape(one_line(inventory.card.dataset))
    if inventory.manifest is None:
        listing.add_row(name, "[dim]unreadable[/]")
        return
    for split in inventory.manifest.splits.values():
        missing = len(split.missing)
        counts = (split.expected, len(split.samples), len(split.samples) - missing, missing)
        listing.add_row(name, split.name, *(f"{count:,}" for count in counts), style="yellow" if missing else None)


def _write(inventory: Inventory) -> None:
    """Write the manifest, if there is one, beside the ledger, which is in the data root or beside custom data."""
    if inventory.manifest is None:
        return
    assert inventory.manifest.ledger is not None
    folder = inventory.manifest.ledger.file.parent
    path = folder / f"{inventory.card.dataset}.manifest.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) for row in manifest_rows(inventory.manifest, folder))
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def _print_incomplete(
    inventories: Mapping[str, Inventory], proposals: Mapping[str, Proposal], root: Path, *, is_named: bool
) -> None:
    """Say what is wrong with each dataset that is not complete and what to do; absent ones are only named if others
    are there."""
    is_empty = len(proposals) == len({found.card.home for found in _official(inventories).values()}) and not any(
        proposal.is_here or proposal.has_found for proposal in proposals.values()
    )
    absent = []
    for proposal in proposals.values():
        shown = _relevant(proposal, inventories, is_named=is_named or is_empty)
        if shown:
            _print_home(proposal, shown)
        absent += [c.dataset for c in proposal.layout.cards if not (shown or inventories[c.dataset].is_complete)]
    if absent:
        _line(f"\nNot in {root}: {', '.join(absent)}.", indent=0)
        _line(f"'sigma-bench data prepare {root} NAME' prints the layout and the source of one.", indent=0)


def _relevant(proposal: Proposal, inventories: Mapping[str, Inventory], *, is_named: bool) -> list[Inventory]:
    """The incomplete inventories of a dataset's folder about which there is something to say.

    A dataset whose lists are absent is left out if the others in its folder are complete.
    """
    of_home = [inventories[card.dataset] for card in proposal.layout.cards]
    incomplete = [inventory for inventory in of_home if not inventory.is_complete]
    if is_named or proposal.has_found or (proposal.is_here and incomplete[0] is of_home[0]):
        return incomplete
    return [inventory for inventory in incomplete if inventory.manifest is not None]


def _print_home(proposal: Proposal, inventories: Sequence[Inventory]) -> None:
    """Print what is wrong with the datasets of one folder, what was found, and the official layout."""
    home = proposal.layout.home
    files = [catalogue.load_dataset_file(card.dataset) for card in proposal.layout.cards]
    title = files[0].title if len(files) == 1 else home.name
    out.print(f"\n[bold]{title}[/] ({', '.join(i.card.dataset for i in inventories)})", soft_wrap=True)
    unread = [inventory.problem or "" for inventory in inventories if inventory.manifest is None]
    for problem in dict.fromkeys(unread) if proposal.is_here else ():
        _line(problem)
    for inventory in inventories:
        for line in missing_lines(inventory, home / DECLARATION) if inventory.manifest else ():
            _line(f"{inventory.card.dataset} {line}")
    for line in found_lines(proposal):
        _line(line)
    if proposal.lacking or (unread and not proposal.links):
        out.print(Padding(layout_tree(home, files), (0, 0, 0, 2)), soft_wrap=True)
        for line in source_lines(files):
            _line(line)


def _line(text: str, indent: int = 2) -> None:
    out.print_plain(" " * indent + text)


def _print_custom(inventory: Inventory) -> None:
    """Say what is wrong with custom data that are not complete."""
    if inventory.is_complete:
        return
    card, manifest = inventory.card, inventory.manifest
    out.print(f"\n[bold]{escape(one_line(card.title))}[/] ({escape(one_line(card.dataset))})", soft_wrap=True)
    if manifest is None:
        _line(inventory.problem or "")
        return
    assert manifest.ledger is not None
    for line in missing_lines(inventory, manifest.ledger.folder / DECLARATION):
        _line(line)
