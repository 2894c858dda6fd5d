"""What ``sigma-bench data prepare`` prints about the layout of a dataset: its files, sources, and what was found."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text
from rich.tree import Tree

from sigma_bench.data.inventory import Inventory
from sigma_bench.data.layout_links import Proposal
from sigma_bench.specs.dataset import DatasetFile

SHOWN = 3


def layout_tree(home: Path, files: Sequence[DatasetFile]) -> Tree:
    """The files of the datasets that share a folder, as a tree; a remark says what not all of them need."""
    remarks = {path: f"optional: {use}" for file in files for path, use in file.optional.items()}
    for path in dict.fromkeys(path for file in files for path in file.layout):
        users = [file.dataset for file in files if path in file.layout]
        remarks[path] = "" if len(users) == len(files) else f"for {', '.join(users)}"
    tree = Tree(Text(f"{home}/"), guide_style="dim")
    branches: dict[tuple[str, ...], Tree] = {(): tree}
    for path, remark in sorted(remarks.items()):
        parts = tuple(path.split("/"))
        for depth, name in enumerate(parts, start=1):
            if parts[:depth] not in branches:
                is_file = depth == len(parts)
                label = Text.assemble(
                    name if is_file else f"{name}/", (f"   {remark}" if is_file and remark else "", "dim")
                )
                branches[parts[:depth]] = branches[parts[: depth - 1]].add(label)
    return tree


def source_lines(files: Sequence[DatasetFile]) -> Iterator[str]:
    """Where the datasets of a folder come from, their download sizes, other layouts that are read, and licences."""
    yield from (f"source: {text}" for text in _each(files, "source"))
    downloads = {name: text for file in reversed(files) for name, text in file.download.items()}
    yield from (f"download: {name.rpartition('/')[2]}, {text}" for name, text in downloads.items())
    alternatives = dict.fromkeys(text for file in files for text in file.alternatives)
    yield from (f"also read: {text}" for text in alternatives)
    yield from (f"licence: {text}" for text in _each(files, "licence"))


def _each(files: Sequence[DatasetFile], key: str) -> dict[str, None]:
    return dict.fromkeys(str(getattr(file, key)) for file in files)


def found_lines(proposal: Proposal) -> Iterator[str]:
    """What a search found of a dataset whose layout is not complete, and what to do with it."""
    home, found = proposal.layout.home, proposal.found
    yield from (f"found {source}, which belongs at {link}" for link, source in proposal.links.items())
    for target, paths in proposal.ambiguous.items():
        yield f"several could be {home / target}: {_listed(paths)}; name the folder to search with --from"
    for path, source in proposal.blocked.items():
        yield f"found {source}, which belongs at {path}, where something else is; move or rename that first"
    yield from (f"found {path}, but {reason}" for path, reason in found.unusable.items())
    if found.archives:
        yield f"found {_listed(found.archives)}: unpack what is not unpacked yet, into {home}"
    if proposal.lacking and (proposal.placed or proposal.links):
        placed = f"in place: {', '.join(proposal.placed)}; " if proposal.placed else ""
        yield f"{placed}not found in full: {', '.join(proposal.lacking)}"
    if proposal.links and not proposal.ambiguous:
        yield f"with links: {', '.join(_counts(proposal.inventories)) or 'the lists are still missing'}"


def _counts(inventories: Sequence[Inventory]) -> Iterator[str]:
    for inventory in inventories:
        for split in inventory.manifest.splits.values() if inventory.manifest else ():
            found = len(split.samples) - len(split.missing)
            yield f"{inventory.card.dataset} {split.name} {found:,} of {split.expected:,}"


def missing_lines(inventory: Inventory, declaration: Path) -> Iterator[str]:
    """What a dataset whose lists can be read lacks, by split."""
    assert inventory.manifest is not None
    splits = inventory.manifest.splits
    num_missing = sum(len(split.missing) for split in splits.values())
    if num_missing and num_missing == sum(len(split.samples) for split in splits.values()):
        first, *_ = (sample.absent_path for split in splits.values() for sample in split.missing)
        yield f"lists are here, but none of the {num_missing:,} files that they name is, such as {first}"
        return
    for split in splits.values():
        if len(split.samples) != split.expected:
            yield (
                f"{split.name}: {len(split.samples):,} samples are listed, {split.expected:,} are expected; complete "
                f"the copy, or if it was shortened on purpose, declare that in {declaration}"
            )
        if split.missing:
            paths = [sample.absent_path or sample.path for sample in split.missing[:SHOWN]]
            yield (
                f"{split.name}: {len(split.missing):,} of {len(split.samples):,} missing: {_listed(paths)}"
                f"{_more(len(split.missing))}"
            )
    if num_missing:
        yield (
            f"names of all: '\"found\": false' in {inventory.card.dataset}.manifest.jsonl; fetch them again, or count "
            "them as wrong (--set on_decode_failure=count_as_wrong, in classification), or remove them from the lists "
            f"and declare the new lengths in {declaration}"
        )


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:SHOWN])) + _more(len(paths))


def _more(number: int) -> str:
    return f" and {number - SHOWN:,} more" if number > SHOWN else ""
